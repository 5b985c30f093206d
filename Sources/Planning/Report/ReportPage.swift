/// The frame of a report: one HTML file, light or dark, on a desk or on a phone; no script, nothing to load.
package struct ReportPage: Sendable {
    /// The heading of a report: what it is about, and how it came about.
    package struct Heading: Sendable {
        package var title: String
        /// The facts that were asked on which machine: name and value.
        package var facts: [(name: String, value: String)]

        package init(_ title: String, _ facts: [(name: String, value: String)]) {
            (self.title, self.facts) = (title, facts)
        }
    }

    package let heading: Heading
    package let body: String

    package init(_ heading: Heading, body: String) { (self.heading, self.body) = (heading, body) }

    package var text: String {
        let facts = heading.facts.map { "<dt>\(Chart.escaped($0.name))</dt><dd>\(Chart.escaped($0.value))</dd>" }
        return """
            <!doctype html>
            <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
            <meta name="color-scheme" content="light dark">
            <title>\(Chart.escaped(heading.title))</title>
            <style>
            \(ReportPage.style)
            </style></head><body>
            <h1>\(Chart.escaped(heading.title))</h1>
            <dl class="facts">\(facts.joined())</dl>
            \(body)
            </body></html>

            """
    }

    /// A table of answers with their derivations.
    package static func answers(_ answers: [(name: String, quantity: Quantity)]) -> String {
        "<table>\(answers.map { row($0.name, $0.quantity) }.joined())</table>"
    }

    static func row(_ name: String, _ quantity: Quantity) -> String {
        """
        <tr><td>\(Chart.escaped(name))</td><td class="number">\(Chart.escaped(quantity.readable))</td>\
        <td><details><summary>\(Chart.escaped(quantity.formula.name))</summary>\
        \(Chart.escaped(quantity.derivation))</details></td></tr>
        """
    }

    private static let style = """
        :root { --back: #fbfaf8; --ink: #1c1b1a; --quiet: #5f5b57; --line: #d9d4cd; --mark: #9a3412; --second: #1d4ed8; --third: #15803d }
        @media (prefers-color-scheme: dark) {
          :root { --back: #171615; --ink: #ece8e2; --quiet: #a8a29a; --line: #3a3734; --mark: #fb923c; --second: #7aa7ff; --third: #6fcf97 } }
        * { box-sizing: border-box }
        body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; color: var(--ink); background: var(--back) }
        h1 { font-size: 1.5rem; margin: 0 0 .5rem } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem }
        .facts { display: grid; grid-template-columns: max-content 1fr; gap: 0 .8rem; margin: 0; font-size: .9rem }
        .facts dt { color: var(--quiet) } .facts dd { margin: 0; overflow-wrap: anywhere }
        .answer { border-left: 4px solid var(--mark); padding: .2rem 0 .2rem .8rem; margin: 1rem 0; list-style: none }
        .charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 1rem 2rem }
        figure { margin: 0; min-width: 0 } figcaption { font-weight: 600 } figcaption small { font-weight: 400; color: var(--quiet) }
        .bars { list-style: none; margin: .3rem 0; padding: 0; font-size: .9rem; display: grid; gap: 0 .6rem; align-items: center;
          grid-template-columns: fit-content(9rem) 1fr max-content }
        .bars li { display: contents } .bars li > :last-child { text-align: right }
        .track { height: .8rem } .track i { display: block; height: 100%; min-width: 1px; background: var(--mark); border-radius: .15rem }
        svg { width: 100%; height: auto; max-width: 34rem } svg text { font: 11px system-ui, sans-serif; fill: var(--ink) }
        svg .tick { fill: var(--quiet) } .grid { stroke: var(--line) } .line { fill: none; stroke: var(--quiet); stroke-width: 2 }
        .p0 { fill: var(--mark) } .p1 { fill: var(--second) } .p2 { fill: var(--third) }
        table { border-collapse: collapse; width: 100%; font-size: .95rem } td { padding: .25rem .6rem .25rem 0; vertical-align: top }
        tr { border-top: 1px solid var(--line) } .number { white-space: nowrap; font-variant-numeric: tabular-nums }
        details { color: var(--quiet); font-size: .9rem; overflow-wrap: anywhere } summary { cursor: pointer }
        @media (max-width: 40rem) {
          .bars { grid-template-columns: fit-content(7rem) 1fr max-content } .number { white-space: normal }
          td:nth-child(3) { display: block; padding-left: 0 } tr { display: grid; grid-template-columns: 1fr 1fr } td:nth-child(3) { grid-column: 1 / -1 }
        }
        """
}
