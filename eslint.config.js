import js from "@eslint/js";
import { defineConfig } from "eslint/config";
import tseslint from "typescript-eslint";

const GLOBALS = ["clearInterval", "console", "performance", "process", "setInterval"];

export default defineConfig(
  { ignores: ["dist/", "native/", "prebuilds/", "coverage/", "docs/api/", "lib/native-binding.d.ts"] },
  { linterOptions: { reportUnusedDisableDirectives: "error" } },
  js.configs.recommended,
  {
    files: ["**/*.ts", "**/*.cts"],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      "@typescript-eslint/consistent-type-imports": "error",
      // `() => this.#close()` is how we write a forwarding arrow function.
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
      // A public function is `async` also without `await`, so that every failure is a rejection and none a throw.
      "@typescript-eslint/require-await": "off",
      // What the application throws passes through by identity, whatever it is.
      "@typescript-eslint/only-throw-error": ["error", { allowThrowingUnknown: true }],
      "@typescript-eslint/prefer-promise-reject-errors": ["error", { allowThrowingUnknown: true }],
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
    },
  },
  {
    files: ["lib/**", "testing/**"],
    rules: {
      "no-console": "error",
      // Whoever sets the environment must not be able to steer code that holds keys.
      "no-restricted-properties": ["error", { object: "process", property: "env" }],
      "@typescript-eslint/no-restricted-imports": [
        "error",
        {
          paths: [
            { name: "better-sqlite3", message: "Only delivery-service/ needs it; the main entry must not load it." },
          ],
          patterns: [{ regex: "\\.node$|/native-binding", message: "native() loads it.", allowTypeImports: true }],
        },
      ],
    },
  },
  {
    files: ["delivery-service/rules/**"],
    rules: {
      // A rule is a pure function of a request and facts: it runs on any store, and may run again.
      "no-restricted-properties": ["error", { object: "Date", property: "now", message: "The time is a fact." }],
      "@typescript-eslint/no-restricted-imports": [
        "error",
        {
          patterns: [
            {
              regex: "^(better-sqlite3$|\\.\\./(sqlite/|store\\.js$))",
              message: "A rule knows no store, not even its types.",
            },
            {
              regex: "^(?!\\./|\\.\\./(errors|limits|store)\\.js$|\\.\\./sqlite/|better-sqlite3$)",
              message: "A rule takes what it needs as facts.",
              allowTypeImports: true,
            },
          ],
        },
      ],
    },
  },
  {
    files: ["__tests__/**", "examples/**/*.test.ts"],
    rules: {
      // A test that indexes into what it has just made may say so; a wrong `!` fails the test all the same.
      "@typescript-eslint/no-non-null-assertion": "off",
      // Hostile callbacks throw strings here, on purpose.
      "@typescript-eslint/only-throw-error": "off",
      "@typescript-eslint/prefer-promise-reject-errors": "off",
      // Jest's mocks and matchers are handed around unbound.
      "@typescript-eslint/unbound-method": "off",
      "no-restricted-properties": [
        "error",
        ...["describe", "it", "test"].flatMap((object) =>
          ["only", "skip", "todo"].map((property) => ({ object, property, message: "Every test runs, always." })),
        ),
      ],
    },
  },
  {
    files: ["**/*.js", "**/*.mjs"],
    languageOptions: { globals: Object.fromEntries(GLOBALS.map((name) => [name, "readonly"])) },
  },
);
