/** How the report looks, by day and by night. */
export const style = `
:root {
  color-scheme: light dark;
  --paper: #fbfaf7; --card: #ffffff; --ink: #22252a; --soft: #6a7079; --line: #dedcd5; --band: #eeece6;
  --good: #2f7d53; --bad: #b3362f; --warn: #a76a12; --info: #3b6ea8;
  --alice: #3f77b5; --bob: #4c8f54; --carol: #b85f86; --dave: #b8772f; --eve: #7a66b8;
  --wash: 14%;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #16181c; --card: #1d2025; --ink: #e6e6e3; --soft: #9aa1ab; --line: #343940; --band: #2a2e35;
    --good: #6cc492; --bad: #f0837b; --warn: #e0ad5b; --info: #83b3e6;
    --alice: #79aee6; --bob: #86c98e; --carol: #e595b8; --dave: #e0ab6a; --eve: #b1a1ea;
    --wash: 20%;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; padding: 40px 32px 56px; background: var(--paper); color: var(--ink);
  font: 15px/1.55 Inter, system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  font-variant-numeric: tabular-nums;
}
main { max-width: 1340px; margin: 0 auto; }
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: 4px 20px; }
h1 { margin: 0; font-size: 26px; font-weight: 650; letter-spacing: -0.015em; }
h2 { margin: 0 0 12px; font-size: 15px; font-weight: 650; }
p { margin: 6px 0 0; color: var(--soft); }
.verdict { font-weight: 600; color: var(--good); }
.verdict.failed { color: var(--bad); }
section { margin-top: 24px; padding: 22px 24px; background: var(--card); border: 1px solid var(--line); border-radius: 14px; }
.scroll { overflow-x: auto; }
.scroll > svg { display: block; width: 100%; min-width: 1080px; height: auto; }
svg text { fill: var(--ink); font-size: 11.5px; }
svg .title { font-size: 12px; }
svg .seconds { fill: var(--soft); font-size: 11px; }
svg .band { fill: var(--band); }
svg .epoch { text-anchor: middle; font-size: 11.5px; font-weight: 600; }
svg .begins { stroke: var(--line); stroke-dasharray: 2 4; }
svg .name { font-size: 15px; font-weight: 650; fill: var(--hue); }
svg .bar { fill: color-mix(in srgb, var(--hue) var(--wash), var(--card)); stroke: var(--hue); stroke-width: 1.2; }
svg .read { text-anchor: middle; font-weight: 600; }
svg .said, svg .note { text-anchor: middle; fill: var(--soft); font-size: 11px; }
svg .outside { stroke: var(--line); stroke-width: 2; stroke-dasharray: 1 6; stroke-linecap: round; }
svg .elsewhere { fill: var(--soft); font-size: 11.5px; paint-order: stroke; stroke: var(--card); stroke-width: 5px; }
svg .elsewhere.end { text-anchor: end; }
.alice { --hue: var(--alice); } .bob { --hue: var(--bob); } .carol { --hue: var(--carol); }
.dave { --hue: var(--dave); } .eve { --hue: var(--eve); }
.badge circle { fill: var(--sign); stroke: var(--card); stroke-width: 2; }
.badge path { fill: none; stroke: var(--card); stroke-width: 1.7; stroke-linecap: round; stroke-linejoin: round; }
.badge.founded path { fill: var(--card); stroke-width: 0.6; }
.founded, .joined, .changed { --sign: var(--good); } .retried { --sign: var(--warn); } .killed { --sign: var(--bad); }
.removed { --sign: var(--soft); }
.sent, .received { --sign: var(--info); }
.legend { display: flex; flex-wrap: wrap; gap: 4px 22px; margin: 14px 0 0; padding: 0; list-style: none; color: var(--soft); font-size: 13px; }
.legend li { display: flex; align-items: center; gap: 7px; }
.sign { width: 20px; height: 20px; flex: none; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(460px, 100%), 1fr)); gap: 24px; margin-top: 24px; }
.columns section { margin: 0; }
ul.plain { margin: 0; padding: 0; list-style: none; }
ul.plain li { padding: 6px 0 6px 26px; position: relative; overflow-wrap: anywhere; }
ul.plain li + li { border-top: 1px solid var(--line); }
ul.plain li::before { content: "·"; position: absolute; left: 8px; color: var(--soft); font-weight: 700; }
ul.checks li::before { content: "✓"; left: 2px; color: var(--good); }
ul.checks li.failed::before { content: "✗"; color: var(--bad); }
ul.checks small { display: block; color: var(--bad); font-size: 13px; }
table { width: 100%; border-collapse: collapse; }
th { color: var(--soft); font-size: 13px; font-weight: 500; }
th, td { padding: 7px 12px; text-align: right; white-space: nowrap; border-top: 1px solid var(--line); }
thead th { border-top: 0; }
th:first-child { text-align: left; padding-left: 0; }
tbody th { color: var(--hue); font-size: 15px; font-weight: 650; }
`;
