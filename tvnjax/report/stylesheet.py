"""The page's style sheet: one column, light and dark, figures always on light paper."""

STYLESHEET = """
:root {
  color-scheme: light dark;
  --ground: #ffffff; --ink: #1f2933; --faint: #59646f; --rule: #dde2e7; --wash: #f4f6f8;
  --alert: #a4262c; --alert-wash: #fdf0f0; --caution: #7a5200; --caution-wash: #fdf6e3;
  --fine: #1c6b45; --fine-wash: #eef8f2; --link: #0a5c94;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #15191e; --ink: #e4e8ec; --faint: #a3adb7; --rule: #333b44; --wash: #1f252c;
    --alert: #ff9b9b; --alert-wash: #3a1d1f; --caution: #f0c674; --caution-wash: #332a15;
    --fine: #8fd6ae; --fine-wash: #16301f; --link: #7fbfee;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0 auto; padding: 1.5rem 1.25rem 4rem; max-width: 75rem;
  background: var(--ground); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
}
h1 { font-size: 1.7rem; margin: 0 0 .5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.3rem; margin: 2.75rem 0 .75rem; padding-top: .75rem; border-top: 1px solid var(--rule); }
h3 { font-size: 1.02rem; margin: 1.75rem 0 .4rem; overflow-wrap: anywhere; }
p { margin: .6rem 0; max-width: 46rem; }
p, li, summary { overflow-wrap: anywhere; }
a { color: var(--link); }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1rem; font-size: .92rem; }
.lead { font-size: 1.15rem; font-weight: 600; line-height: 1.45; }
.callout { margin: .7rem 0; max-width: 46rem; padding: .55rem .8rem; border-left: 4px solid; border-radius: 3px; }
.callout p { margin: 0; }
.callout ul { margin: 0; padding-left: 1.1rem; }
.callout li + li { margin-top: .35rem; }
.alert.callout { border-color: var(--alert); background: var(--alert-wash); font-weight: 600; }
.caution.callout { border-color: var(--caution); background: var(--caution-wash); }
.fine.callout { border-color: var(--fine); background: var(--fine-wash); }
.scroll { overflow-x: auto; margin: .75rem 0; }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--faint); padding-bottom: .4rem; caption-side: top; }
th, td { padding: .4rem .9rem .4rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--rule); }
thead th { border-bottom-width: 2px; vertical-align: bottom; }
tbody th { font-weight: 500; }
.numeric td, .numeric thead th + th { text-align: right; white-space: nowrap; }
td.alert { color: var(--alert); font-weight: 700; }
small {
  display: block; max-width: 17rem; color: var(--faint);
  font-size: .82em; font-weight: 400; line-height: 1.35; white-space: normal; overflow-wrap: break-word;
}
figure { margin: .75rem 0 1.25rem; }
.paper { background: #ffffff; border: 1px solid var(--rule); border-radius: 6px; padding: .5rem; overflow-x: auto; }
.paper svg { display: block; width: 100%; min-width: 40rem; height: auto; }
figcaption { margin-top: .4rem; max-width: 46rem; color: var(--faint); font-size: .9rem; overflow-wrap: anywhere; }
.gallery {
  display: grid; gap: 1rem; align-items: start;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 21.5rem), 1fr));
}
.gallery figure { margin: 0; max-width: 26rem; }
.gallery .paper svg { min-width: 0; }
details { margin: .75rem 0; }
summary { cursor: pointer; color: var(--link); }
pre {
  margin: .5rem 0; padding: .7rem .9rem; overflow-x: auto; border-radius: 6px;
  background: var(--wash); font: .86rem/1.45 ui-monospace, Consolas, monospace;
}
@media (max-width: 40rem) {
  body { padding: 1rem .9rem 3rem; }
  th, td { padding-right: .65rem; }
  small { max-width: 9.5rem; }
  .numeric tbody th { position: sticky; left: 0; background: var(--ground); min-width: 7.5rem; max-width: 10rem; }
}
@media print { nav { display: none; } .paper, .scroll { overflow: visible; } figure { break-inside: avoid; } }
"""
