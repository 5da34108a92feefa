// What a run about the S3 gateway found, beside what is promised of it, as a file.

import Foundation

/// All that one run found.
package struct S3File: JSONFile {
    let machine: MachineDescription
    let sections: [String]
    let clients: Int
    let secondsPerMeasurement: Double
    let rounds: Int
    let idleConnections: Int
    let activeConnections: Int
    let largeObjectBytes: UInt64
    let listedObjects: Int
    let figures: [FigureRow]

    package init(
        machine: MachineDescription, sections: [String], clients: Int, secondsPerMeasurement: Double, rounds: Int,
        idleConnections: Int, activeConnections: Int, largeObjectBytes: UInt64, listedObjects: Int,
        figures: [PromisedFigure]
    ) {
        self.machine = machine
        self.sections = sections
        self.clients = clients
        self.secondsPerMeasurement = secondsPerMeasurement
        self.rounds = rounds
        self.idleConnections = idleConnections
        self.activeConnections = activeConnections
        self.largeObjectBytes = largeObjectBytes
        self.listedObjects = listedObjects
        self.figures = figures.map(FigureRow.init)
    }
}
