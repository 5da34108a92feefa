// How far a server has come with reading all that it has, in a small file of its own. If it is lost the server begins
// with the first object again.

import DurableFiles
import Foundation
import QuorumProtocol

/// Where scrubbing goes on, and when it last was through.
struct ScrubMark: Codable, Equatable {
    /// The last object that was looked at, in hexadecimal; empty at the beginning.
    var last = ""
    /// When this pass began and when the last whole one ended, in milliseconds since 1970; 0 for never.
    var beganMilliseconds: UInt64 = 0
    var endedMilliseconds: UInt64 = 0
    /// What this pass has looked at so far, and found damaged.
    var objects: UInt64 = 0
    var damaged: UInt64 = 0

    init() {}

    /// What the file says; nothing where it is missing or makes no sense.
    init(path: String) {
        let read = try? JSONDecoder().decode(ScrubMark.self, from: Data(contentsOf: URL(fileURLWithPath: path)))
        self = read ?? ScrubMark()
    }

    /// - Throws: when the file cannot be written.
    func write(to path: String) throws {
        try DurableFile.replace(path, Array(JSONEncoder().encode(self)), mode: 0o600)
    }

    var lastKey: [UInt8]? {
        get {
            let digits = Array(last.utf8)
            guard !digits.isEmpty, digits.count % 2 == 0 else { return nil }
            var bytes: [UInt8] = []
            for place in stride(from: 0, to: digits.count, by: 2) {
                guard let byte = UInt8(String(decoding: digits[place..<(place + 2)], as: UTF8.self), radix: 16) else {
                    return nil
                }
                bytes.append(byte)
            }
            return bytes
        }
        set { last = (newValue ?? []).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() }
    }
}
