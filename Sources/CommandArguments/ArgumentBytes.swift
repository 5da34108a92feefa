// Arguments are bytes, and the parser of command lines takes text. What is no UTF-8 goes through it under another name
// and comes out as it was given.

import ArgumentParser

/// Bytes as text that names each of them, and back.
///
/// Text stands for itself, except for the last 128 code points of all: each of them stands for one byte that is no
/// UTF-8. One that is really there is written byte by byte, too, so no two arguments become the same text.
package enum ArgumentBytes {
    private static let escapes: ClosedRange<UInt32> = 0x10FF80...0x10FFFF

    /// The text by which the parser knows these bytes.
    package static func text(for bytes: [UInt8]) -> String {
        if let text = String(validating: bytes, as: UTF8.self), isText(text) { return text }
        var scalars = String.UnicodeScalarView()
        var parser = Unicode.UTF8.ForwardParser()
        var iterator = bytes.makeIterator()
        var position = 0
        while true {
            let count: Int
            var scalar: Unicode.Scalar?
            switch parser.parseScalar(from: &iterator) {
            case .emptyInput: return String(scalars)
            case .valid(let encoded):
                count = encoded.count
                scalar = Unicode.UTF8.decode(encoded)
            case .error(let length): count = length
            }
            if let scalar, !escapes.contains(scalar.value) {
                scalars.append(scalar)
            } else {
                for byte in bytes[position..<position + count] {
                    scalars.append(Unicode.Scalar(escapes.lowerBound + UInt32(byte & 0x7F)) ?? "\u{FFFD}")
                }
            }
            position += count
        }
    }

    /// The bytes that the parser knows by this text.
    package static func bytes(of text: String) -> [UInt8] {
        guard !isText(text) else { return Array(text.utf8) }
        return text.unicodeScalars.flatMap { scalar in
            byte(scalar).map { [$0] } ?? Array(String(scalar).utf8)
        }
    }

    /// Whether the argument that the parser knows by this text is text itself.
    package static func isText(_ text: String) -> Bool {
        !text.unicodeScalars.contains { escapes.contains($0.value) }
    }

    /// For people: bytes that are no UTF-8 as `\xE9`.
    package static func readable(_ text: String) -> String {
        guard !isText(text) else { return text }
        return text.unicodeScalars.map { scalar in
            byte(scalar).map { "\\x" + String($0, radix: 16, uppercase: true) } ?? String(scalar)
        }.joined()
    }

    private static func byte(_ scalar: Unicode.Scalar) -> UInt8? {
        escapes.contains(scalar.value) ? UInt8(0x80 | (scalar.value & 0x7F)) : nil
    }

    /// The first text within a parsed command whose argument is none: what asks for bytes (`FileArgument`) holds no
    /// text.
    package static func firstThatIsNoText(in value: Any) -> String? {
        if let text = value as? String { return isText(text) ? nil : text }
        for child in Mirror(reflecting: value).children {
            if let found = firstThatIsNoText(in: child.value) { return found }
        }
        return nil
    }
}

/// An argument of any bytes but zero: the path of a file, or what another program is handed.
package struct FileArgument: ExpressibleByArgument, Hashable, Sendable {
    package let bytes: [UInt8]

    package init(bytes: [UInt8]) { self.bytes = bytes }

    package init?(argument: String) { self.init(bytes: ArgumentBytes.bytes(of: argument)) }

    /// What the system's calls take: the bytes and a zero.
    package var path: [CChar] { bytes.map { CChar(bitPattern: $0) } + [0] }

    /// For people and for JSON.
    package var readable: String { ArgumentBytes.readable(ArgumentBytes.text(for: bytes)) }

    package static var defaultCompletionKind: CompletionKind { .file() }
}
