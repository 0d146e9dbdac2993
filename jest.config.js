/** @type {import("jest").Config} */
export default {
  testEnvironment: "node",
  testMatch: ["<rootDir>/__tests__/**/*.test.ts", "<rootDir>/examples/**/*.test.ts"],
  modulePathIgnorePatterns: ["<rootDir>/dist/", "<rootDir>/native/"],
  watchPathIgnorePatterns: ["<rootDir>/dist/", "<rootDir>/prebuilds/", "<rootDir>/\\.stamps/"],
  // Sources say "./x.js", as ESM must; under jest the file is x.ts. Only our own here.cjs is mapped: a rule for every
  // .cjs would break packages that really ship such files.
  moduleNameMapper: {
    "^conclave-mls$": "<rootDir>/lib/index.ts",
    "^conclave-mls/delivery-service$": "<rootDir>/delivery-service/index.ts",
    "^conclave-mls/testing$": "<rootDir>/testing/index.ts",
    "^(\\.{1,2}/)+(lib/)?here\\.cjs$": "<rootDir>/lib/here.cts",
    "^(\\.{1,2}/.*)\\.js$": "$1",
  },
  transform: {
    "^.+\\.[cm]?ts$": [
      "@swc/jest",
      {
        jsc: { target: "es2022", parser: { syntax: "typescript" } },
        module: { type: "commonjs" },
        sourceMaps: "inline",
      },
    ],
    // ts-mls, the foreign member of the tests, and what it stands on are ES modules only. Jest runs CommonJS.
    "/node_modules/(ts-mls|@noble)/.+\\.js$": [
      "@swc/jest",
      { jsc: { target: "es2022", parser: { syntax: "ecmascript" } }, module: { type: "commonjs" } },
    ],
  },
  transformIgnorePatterns: ["/node_modules/(?!(ts-mls|@noble)/)"],
};
