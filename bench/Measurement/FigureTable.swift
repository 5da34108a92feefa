// Figures beside what is promised of them, for people.

import BenchmarkResults
import Foundation

enum FigureTable {
    private static let widths = (figure: 74, value: 12, bound: 12)

    static func print(_ figures: [PromisedFigure]) {
        func row(_ figure: String, _ value: String, _ bound: String, _ verdict: String) {
            func padded(_ text: String, _ width: Int) -> String {
                text.padding(toLength: max(width, text.count + 1), withPad: " ", startingAt: 0)
            }
            Swift.print(
                padded(figure, widths.figure) + padded(value, widths.value) + padded(bound, widths.bound) + verdict)
        }
        row("figure", "measured", "bound", "verdict")
        for figure in figures {
            row(
                figure.unit.isEmpty ? figure.name : "\(figure.name) (\(figure.unit))", brief(figure.value),
                figure.target?.boundText ?? "", figure.target?.verdict.rawValue ?? "")
        }
    }
}
