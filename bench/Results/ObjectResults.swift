// What a run about large objects, listings and restarts found, beside what is promised of it, as a file.

import Foundation

/// All that one run found.
package struct ObjectsFile: JSONFile {
    let machine: MachineDescription
    let mode: String
    let seededObjects: Int
    let laggingObjects: Int
    let largeObjectBytes: UInt64
    let secondsPerMeasurement: Double
    let figures: [FigureRow]

    package init(
        machine: MachineDescription, mode: String, seededObjects: Int, laggingObjects: Int, largeObjectBytes: UInt64,
        secondsPerMeasurement: Double, figures: [PromisedFigure]
    ) {
        self.machine = machine
        self.mode = mode
        self.seededObjects = seededObjects
        self.laggingObjects = laggingObjects
        self.largeObjectBytes = largeObjectBytes
        self.secondsPerMeasurement = secondsPerMeasurement
        self.figures = figures.map(FigureRow.init)
    }
}
