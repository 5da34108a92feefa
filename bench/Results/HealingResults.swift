// What a run about rebuilding, repair and audits found, beside what is promised of it, as a file.

import Foundation

/// All that one run found.
package struct HealingFile: JSONFile {
    let machine: MachineDescription
    let mode: String
    let sections: [String]
    let largeBytes: UInt64
    let largeObjectBytes: UInt64
    let smallObjects: Int
    let smallObjectBytes: Int
    let besideObjects: Int
    let besideObjectBytes: Int
    let secondsPerMeasurement: Double
    let figures: [FigureRow]

    package init(
        machine: MachineDescription, mode: String, sections: [String], largeBytes: UInt64, largeObjectBytes: UInt64,
        smallObjects: Int, smallObjectBytes: Int, besideObjects: Int, besideObjectBytes: Int,
        secondsPerMeasurement: Double, figures: [PromisedFigure]
    ) {
        self.machine = machine
        self.mode = mode
        self.sections = sections
        self.largeBytes = largeBytes
        self.largeObjectBytes = largeObjectBytes
        self.smallObjects = smallObjects
        self.smallObjectBytes = smallObjectBytes
        self.besideObjects = besideObjects
        self.besideObjectBytes = besideObjectBytes
        self.secondsPerMeasurement = secondsPerMeasurement
        self.figures = figures.map(FigureRow.init)
    }
}
