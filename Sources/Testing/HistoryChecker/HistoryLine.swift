// Reading and writing histories as text: one flat JSON object a line, nothing else. The reader is strict, so that a
// file which is mangled, or cut off within a line, is never taken for a history. One that is cut off at a line's end is
// read as the shorter history that it then is: what was open there has an unknown outcome.

/// Why a line is no event of a history.
package struct HistoryFormatError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Counted from 1.
    package let line: Int
    package let reason: String

    package var description: String { "line \(line): \(reason)" }
}

extension HistoryEvent {
    /// The events of a file's bytes, in its order. Empty lines are allowed, anything else must be an event.
    package static func parse(_ bytes: some Collection<UInt8>) throws(HistoryFormatError) -> [HistoryEvent] {
        let bytes = Array(bytes)
        var events: [HistoryEvent] = []
        var start = 0
        var line = 0
        while start < bytes.count {
            let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count
            line += 1
            if bytes[start..<end].contains(where: { !FlatJSON.isSpace($0) }) {
                do {
                    events.append(try HistoryEvent(line: bytes[start..<end]))
                } catch {
                    throw HistoryFormatError(line: line, reason: error.reason)
                }
            }
            start = end + 1
        }
        return events
    }

    /// The event of one line.
    private init(line: ArraySlice<UInt8>) throws(FlatJSON.Malformed) {
        var fields = FlatJSON.Fields()
        try FlatJSON.parse(line, into: &fields)
        func text(_ name: String) throws(FlatJSON.Malformed) -> String {
            guard case .text(let text)? = fields.take(name) else { throw .init("'\(name)' must be a string") }
            return text
        }
        switch fields.take("process") {
        case .text(let name): process = name
        case .integer(let number): process = String(number)
        default: throw .init("'process' must be a string or an integer")
        }
        let kindName = try text("type")
        guard let kind = Kind(rawValue: kindName) else { throw .init("unknown type '\(kindName)'") }
        self.kind = kind
        let functionName = try text("f")
        guard let function = Function(rawValue: functionName) else { throw .init("unknown f '\(functionName)'") }
        self.function = function
        key = try text("key")
        switch fields.take("value") {
        case .text(let text): value = text
        case .null, nil: value = nil
        case .integer: throw .init("'value' must be a string or null")
        }
        guard case .integer(let time)? = fields.take("time") else {
            throw .init("'time' must be an integer of nanoseconds")
        }
        timeNanoseconds = time
        if let unknown = fields.remaining.first { throw .init("unknown field '\(unknown)'") }
    }

    /// The event as a line of a file, without the line's end. A process that is named like an integer becomes one.
    package var line: String {
        let number = Int64(process)
        let processText = number.map { String($0) } == process ? process : FlatJSON.quoted(process)
        let valueText = value.map(FlatJSON.quoted) ?? "null"
        return """
            {"process":\(processText),"type":"\(kind.rawValue)","f":"\(function.rawValue)",\
            "key":\(FlatJSON.quoted(key)),"value":\(valueText),"time":\(timeNanoseconds)}
            """
    }
}

/// The small part of JSON that a history's line is made of: an object of strings, integers and nulls.
enum FlatJSON {
    enum Value: Equatable {
        case text(String)
        case integer(Int64)
        case null
    }

    struct Malformed: Error {
        let reason: String
        init(_ reason: String) { self.reason = reason }
    }

    /// A line's fields, in its order; few enough to be searched one by one.
    struct Fields {
        private var fields: [(name: String, value: Value)] = []

        mutating func add(_ name: String, _ value: Value) throws(Malformed) {
            guard !fields.contains(where: { $0.name == name }) else { throw Malformed("'\(name)' occurs twice") }
            fields.append((name, value))
        }

        mutating func take(_ name: String) -> Value? {
            guard let position = fields.firstIndex(where: { $0.name == name }) else { return nil }
            return fields.remove(at: position).value
        }

        var remaining: [String] { fields.map(\.name) }
    }

    static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0d }

    static func parse(_ bytes: ArraySlice<UInt8>, into fields: inout Fields) throws(Malformed) {
        var rest = bytes
        try expect(UInt8(ascii: "{"), in: &rest)
        skipSpace(&rest)
        if rest.first == UInt8(ascii: "}") {
            rest.removeFirst()
        } else {
            repeat {
                skipSpace(&rest)
                let name = try string(&rest)
                try expect(UInt8(ascii: ":"), in: &rest)
                try fields.add(name, try value(&rest))
                skipSpace(&rest)
                guard let next = rest.popFirst() else { throw Malformed("the line ends within an object") }
                if next == UInt8(ascii: "}") { break }
                guard next == UInt8(ascii: ",") else { throw Malformed("',' or '}' expected") }
            } while true
        }
        skipSpace(&rest)
        guard rest.isEmpty else { throw Malformed("something follows the object") }
    }

    private static func skipSpace(_ rest: inout ArraySlice<UInt8>) {
        while let first = rest.first, isSpace(first) { rest.removeFirst() }
    }

    private static func expect(_ byte: UInt8, in rest: inout ArraySlice<UInt8>) throws(Malformed) {
        skipSpace(&rest)
        guard rest.popFirst() == byte else { throw Malformed("'\(Character(UnicodeScalar(byte)))' expected") }
    }

    private static func value(_ rest: inout ArraySlice<UInt8>) throws(Malformed) -> Value {
        skipSpace(&rest)
        guard let first = rest.first else { throw Malformed("the line ends where a value should be") }
        if first == UInt8(ascii: "\"") { return .text(try string(&rest)) }
        if rest.starts(with: "null".utf8) {
            rest.removeFirst(4)
            return .null
        }
        let digits = rest.prefix { (0x30...0x39).contains($0) || $0 == UInt8(ascii: "-") }
        guard !digits.isEmpty, let integer = Int64(String(decoding: digits, as: UTF8.self)) else {
            throw Malformed("a value must be a string, an integer of 64 bits or null")
        }
        rest.removeFirst(digits.count)
        return .integer(integer)
    }

    private static func string(_ rest: inout ArraySlice<UInt8>) throws(Malformed) -> String {
        try expect(UInt8(ascii: "\""), in: &rest)
        var utf8: [UInt8] = []
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "\""):
                guard let text = String(validating: utf8, as: UTF8.self) else { throw Malformed("not UTF-8") }
                return text
            case UInt8(ascii: "\\"):
                utf8 += try escape(&rest)
            case 0..<0x20:
                throw Malformed("a control character in a string")
            default:
                utf8.append(byte)
            }
        }
        throw Malformed("the line ends within a string")
    }

    private static func escape(_ rest: inout ArraySlice<UInt8>) throws(Malformed) -> [UInt8] {
        guard let byte = rest.popFirst() else { throw Malformed("the line ends within a string") }
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
        case UInt8(ascii: "b"): return [0x08]
        case UInt8(ascii: "f"): return [0x0c]
        case UInt8(ascii: "n"): return [0x0a]
        case UInt8(ascii: "r"): return [0x0d]
        case UInt8(ascii: "t"): return [0x09]
        case UInt8(ascii: "u"):
            var unit = try hexadecimal(&rest)
            if (0xd800..<0xdc00).contains(unit) {
                guard rest.popFirst() == UInt8(ascii: "\\"), rest.popFirst() == UInt8(ascii: "u") else {
                    throw Malformed("half of a surrogate pair")
                }
                let low = try hexadecimal(&rest)
                guard (0xdc00..<0xe000).contains(low) else { throw Malformed("half of a surrogate pair") }
                unit = 0x10000 + (unit - 0xd800) << 10 + (low - 0xdc00)
            }
            guard let scalar = UnicodeScalar(unit) else { throw Malformed("half of a surrogate pair") }
            return Array(Character(scalar).utf8)
        default: throw Malformed("unknown escape in a string")
        }
    }

    private static func hexadecimal(_ rest: inout ArraySlice<UInt8>) throws(Malformed) -> UInt32 {
        let digits = rest.prefix(4)
        guard digits.count == 4, digits.allSatisfy({ Character(UnicodeScalar($0)).isHexDigit }),
            let unit = UInt32(String(decoding: digits, as: UTF8.self), radix: 16)
        else { throw Malformed("four hexadecimal digits expected") }
        rest.removeFirst(4)
        return unit
    }

    /// The text as a JSON string.
    static func quoted(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case "\n": quoted += "\\n"
            case "\r": quoted += "\\r"
            case "\t": quoted += "\\t"
            default:
                if scalar.value < 0x20 {
                    let digits = String(scalar.value, radix: 16)
                    quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
                } else {
                    quoted.unicodeScalars.append(scalar)
                }
            }
        }
        return quoted + "\""
    }
}
