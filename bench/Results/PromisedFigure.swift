// Figures of one run, some of them beside what is promised.

/// One figure of a run.
package struct PromisedFigure: Sendable {
    /// What was measured, for people.
    package let name: String
    package let unit: String
    package let value: Double
    /// Nil for what is measured beside the promises, to compare with.
    package let bound: ModeTarget.Bound?

    package init(_ name: String, _ value: Double, _ unit: String, bound: ModeTarget.Bound? = nil) {
        self.name = name
        self.value = value
        self.unit = unit
        self.bound = bound
    }

    /// The promise and whether it was kept; nil where nothing is promised.
    package var target: ModeTarget? { bound.map { ModeTarget(figure: name, bound: $0, measured: value) } }
}

/// A figure in a file.
struct FigureRow: Encodable, Sendable {
    let figure: String
    let value: Double
    let unit: String
    let bound: String?
    let verdict: String?

    init(_ figure: PromisedFigure) {
        self.figure = figure.name
        value = figure.value
        unit = figure.unit
        bound = figure.target?.boundText
        verdict = figure.target?.verdict.rawValue
    }
}
