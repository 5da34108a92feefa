// What a run found, as a file for programs.

import Foundation

/// What is written as one JSON object.
package protocol JSONFile: Encodable, Sendable {}

extension JSONFile {
    /// Keys are in snake case and sorted, so that two runs can be compared line by line.
    package func json() throws -> Data {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        return try encoder.encode(self) + Data("\n".utf8)
    }
}
