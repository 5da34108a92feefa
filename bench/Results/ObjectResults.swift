// What a run about large objects, listings and restarts found, beside what is promised of it.

import Foundation

/// One figure of a run.
package struct ObjectFigure: Sendable {
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

/// All that one run found, as a file.
package struct ObjectsFile: Encodable, Sendable {
    struct Row: Encodable, Sendable {
        let figure: String
        let value: Double
        let unit: String
        let bound: String?
        let verdict: String?
    }

    let machine: MachineDescription
    let mode: String
    let seededObjects: Int
    let laggingObjects: Int
    let largeObjectBytes: UInt64
    let secondsPerMeasurement: Double
    let figures: [Row]

    package init(
        machine: MachineDescription, mode: String, seededObjects: Int, laggingObjects: Int, largeObjectBytes: UInt64,
        secondsPerMeasurement: Double, figures: [ObjectFigure]
    ) {
        self.machine = machine
        self.mode = mode
        self.seededObjects = seededObjects
        self.laggingObjects = laggingObjects
        self.largeObjectBytes = largeObjectBytes
        self.secondsPerMeasurement = secondsPerMeasurement
        self.figures = figures.map {
            Row(
                figure: $0.name, value: $0.value, unit: $0.unit, bound: $0.target?.boundText,
                verdict: $0.target?.verdict.rawValue)
        }
    }

    /// One JSON object, keys in snake case and sorted.
    package func json() throws -> Data {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        return try encoder.encode(self) + Data("\n".utf8)
    }
}
