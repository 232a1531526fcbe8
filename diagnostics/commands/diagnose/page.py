"""The verdict as one HTML file: the card, the figures and the table of checks; no network, no library.

No dimension key: nothing here is an array.
"""

import shlex
from collections.abc import Mapping, Sequence
from html import escape

from diagnostics.commands.diagnose.figures import Shown
from diagnostics.results.card import Card
from diagnostics.results.check_result import CheckResult
from diagnostics.results.rendering import OUTCOME_TEXT, finding, numbers
from diagnostics.results.report import Report

_STYLE = """
:root{color-scheme:light dark;--ink:#1c2330;--soft:#5b6576;--page:#fbfbfd;--card:#fff;--line:#d9dee7;
--pass:#1f7a44;--fail:#b3261e;--open:#8a5a00;--error:#8b1fa8}
@media(prefers-color-scheme:dark){:root{--ink:#e6eaf2;--soft:#a3adbf;--page:#12161d;--card:#1a202a;--line:#333c4a;
--pass:#6fd397;--fail:#ff8a80;--open:#f0c36d;--error:#e39bf5}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:62rem;padding:1rem;background:var(--page);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
h1{font-size:1.1rem;font-weight:600;margin:.5rem 0 1rem}h2{font-size:1.05rem;margin:2rem 0 .4rem}
p{margin:.3rem 0}.soft,figcaption{color:var(--soft);font-size:.9rem}
.card{background:var(--card);border:1px solid var(--line);border-left:.5rem solid var(--pass);border-radius:.4rem;
padding:1rem 1.2rem}.card.fail{border-left-color:var(--fail)}.card.error{border-left-color:var(--error)}
.card.open{border-left-color:var(--open)}
.heading{font-size:1.7rem;font-weight:700;margin:0}
dl{display:grid;grid-template-columns:8rem 1fr;gap:.4rem 1rem;margin:1rem 0 0}dt{font-weight:600}dd{margin:0}
dd p{margin:0 0 .3rem}code{font-size:.92em;overflow-wrap:anywhere}
.scroll{overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:.4rem}
figure{margin:0}figure svg{display:block;width:100%;min-width:30rem;height:auto}
figure svg text{font-family:system-ui,-apple-system,"Segoe UI",sans-serif!important}
table{border-collapse:collapse;width:100%;font-size:.92rem}
th,td{text-align:left;vertical-align:top;padding:.45rem .6rem;border-bottom:1px solid var(--line)}
th button{all:unset;cursor:pointer;font-weight:600}th button:focus-visible{outline:2px solid currentColor}
th button::after{content:" \\2195";color:var(--soft)}th[aria-sort=ascending] button::after{content:" \\2191"}
th[aria-sort=descending] button::after{content:" \\2193"}
td.pass{color:var(--pass)}td.fail{color:var(--fail);font-weight:700}td.inconclusive{color:var(--open)}
td.error{color:var(--error);font-weight:700}td.not_applicable{color:var(--soft)}td.number{white-space:nowrap}
pre{overflow-x:auto;font-size:.8rem;margin:.4rem 0}summary{cursor:pointer}
@media(max-width:40rem){dl{grid-template-columns:1fr;gap:.1rem}dd{margin-bottom:.7rem}
thead{display:none}tr{display:block;padding:.5rem 0;border-bottom:1px solid var(--line)}
td{display:block;border:0;padding:.1rem .7rem}}
"""

_SORT = """
document.querySelectorAll("th button").forEach(function(button){button.addEventListener("click",function(){
var head=button.closest("th"),body=head.closest("table").tBodies[0],place=head.cellIndex;
var up=head.getAttribute("aria-sort")!=="ascending";
head.parentNode.querySelectorAll("th").forEach(function(one){one.removeAttribute("aria-sort")});
head.setAttribute("aria-sort",up?"ascending":"descending");
var key=function(row){return row.cells[place].dataset.key};
Array.from(body.rows).sort(function(a,b){var x=key(a),y=key(b);
var order=isNaN(x)||isNaN(y)?x.localeCompare(y):x-y;return up?order:-order})
.forEach(function(row){body.appendChild(row)})})});
"""


def page(
    report: Report,
    card: Card,
    figures: Sequence[Shown],
    questions: Mapping[str, str],
    *,
    command: Sequence[str],
    seconds: float,
) -> str:
    """The whole page.

    Parameters
    ----------
    report : Report
    card : Card
    figures : sequence of Shown
    questions : mapping of str to str
        What each check asks, by its name.
    command : sequence of str
        That gives it again.
    seconds : float
        What it cost.
    """
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    partial = "<p><strong>Interrupted: later checks are missing.</strong></p>" if report.interrupted else ""
    drawn = "".join(_figure(one) for one in figures)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(card.heading)}: {escape(report.world)}</title><style>{_STYLE}</style></head>\n<body><main>"
        f"<h1>Why does it not learn? {escape(report.world)}</h1>{partial}{_card(card)}{drawn}"
        f"<h2>Every check</h2>{_table(report, questions)}"
        f'<p class="soft">{len(report.results)} checks in {seconds:.1f} s, seed {", ".join(map(str, report.seed))}; '
        f'{escape(versions)}</p><p class="soft"><code>{escape(shlex.join(command))}</code></p>'
        f"</main><script>{_SORT}</script></body></html>\n"
    )


def _card(card: Card) -> str:
    kind = "fail" if card.first is not None else "error" if card.errors else "pass"
    if kind == "pass" and "no check" in card.means:
        kind = "open"
    rows: list[tuple[str, str]] = []
    if card.first is not None:
        rows.append(("Check", f"<p><code>{escape(card.first.name)}</code> {escape(card.question)}</p>"))
        evidence = f'<p>{escape(card.first.message)}</p><p class="soft">{escape(numbers(card.first))}</p>'
        rows.append(("Evidence", evidence))
    rows.append(("Next step", f"<p>{escape(card.next_step)}</p>"))
    for title, shown in (("It follows", card.consequences), ("Open", card.open), ("Errors", card.errors)):
        if shown:
            rows.append((title, "".join(_item(one) for one in shown)))
    body = "".join(f"<dt>{title}</dt><dd>{text}</dd>" for title, text in rows)
    return (
        f'<section class="card {kind}" aria-label="Verdict"><p class="heading">{escape(card.heading)}</p>'
        f"<p>{escape(card.means)}</p><dl>{body}</dl></section>"
    )


def _item(one: CheckResult) -> str:
    return f"<p><code>{escape(one.name)}</code> {escape(finding(one))}</p>"


def _figure(one: Shown) -> str:
    drawing = f'<div class="scroll">{one.svg}</div>' if one.svg else ""
    return f"<h2>{escape(one.title)}</h2><figure>{drawing}<figcaption>{escape(one.message)}</figcaption></figure>"


def _table(report: Report, questions: Mapping[str, str]) -> str:
    heads = ("", "Check", "Outcome", "What it says", "Seconds")
    row = "".join(f'<th scope="col"><button type="button">{name or "#"}</button></th>' for name in heads)
    body = "".join(_row(place, one, questions.get(one.name, "")) for place, one in enumerate(report.results, 1))
    return f'<div class="scroll"><table><thead><tr>{row}</tr></thead><tbody>{body}</tbody></table></div>'


def _row(place: int, one: CheckResult, question: str) -> str:
    said = f"<p>{escape(one.message)}</p>"
    if numbers(one):
        said += f'<p class="soft">{escape(numbers(one))}</p>'
    if one.consequence_of:
        said += f'<p class="soft">follows from <code>{escape(one.consequence_of)}</code></p>'
    if one.next_step:
        said += f"<p>&rarr; {escape(one.next_step)}</p>"
    if one.traceback:
        said += f"<details><summary>traceback</summary><pre>{escape(one.traceback)}</pre></details>"
    seconds = one.seconds or 0.0
    return (
        f'<tr><td data-key="{place}" class="number">{place}</td>'
        f'<td data-key="{escape(one.name)}"><code>{escape(one.name)}</code><br>'
        f'<span class="soft">{escape(question)}</span></td>'
        f'<td data-key="{one.outcome}" class="{one.outcome}">{OUTCOME_TEXT[one.outcome]}</td>'
        f'<td data-key="{escape(one.message)}">{said}</td>'
        f'<td data-key="{seconds:.6f}" class="number">{seconds:.2f} s</td></tr>'
    )
