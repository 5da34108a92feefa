// The part of TOML that configurations here are written in: comments, [tables], [[arrays of tables]], and keys whose
// values are strings, integers, floating-point numbers, booleans or arrays of strings, one per line. Every file
// accepted here is TOML and means the same to any other reader; what is TOML and not accepted (other arrays, inline
// tables, dates, quoted or dotted keys, multi-line strings) is refused by name. The parser reads untrusted bytes: it
// never recurses, and the file's size bounds its work and memory.

/// Where and why a text is not accepted; the line counts from 1, the column in bytes from 1.
struct TOMLSyntaxError: Error, Equatable {
    let line: Int
    let column: Int
    let reason: String
}

/// A value of a key.
enum TOMLValue: Equatable {
    case string(String)
    case strings([String])
    case integer(Int)
    case float
    case boolean
    case table([String: TOMLValue])
    case tables([[String: TOMLValue]])

    /// The type as complaints name it.
    var typeName: String {
        switch self {
        case .string: "a string"
        case .strings: "an array of strings"
        case .integer: "an integer"
        case .float: "a floating-point number"
        case .boolean: "a boolean"
        case .table: "a table"
        case .tables: "an array of tables"
        }
    }
}

/// Reads a whole text.
struct TOMLDocument {
    /// The keys of the top level.
    let root: [String: TOMLValue]

    init(_ bytes: [UInt8]) throws(TOMLSyntaxError) {
        let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]
        let text = bytes.starts(with: byteOrderMark) ? bytes.dropFirst(byteOrderMark.count) : bytes[...]
        var reader = DocumentReader()
        var number = 0
        for line in text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
            number += 1
            var cursor = LineCursor(line.last == UInt8(ascii: "\r") ? line.dropLast() : line, number: number)
            try cursor.checkCharacters()
            cursor.skipBlanks()
            if cursor.isAtEnd { continue }
            if cursor.take("[") {
                try reader.readHeader(&cursor)
            } else {
                try reader.readKey(&cursor)
            }
            cursor.skipBlanks()
            guard cursor.isAtEnd else { throw cursor.error("the line should end here") }
        }
        root = reader.finish()
    }
}

/// The tables read so far. The one that is being read lies apart, so that adding a key to it copies nothing.
private struct DocumentReader {
    private enum Place {
        case top
        case table(String)
        case element(String)
    }

    private var scalars: [String: TOMLValue] = [:]
    private var tables: [String: [String: TOMLValue]] = [:]
    private var arrays: [String: [[String: TOMLValue]]] = [:]
    private var place = Place.top
    private var open: [String: TOMLValue] = [:]

    mutating func readHeader(_ cursor: inout LineCursor) throws(TOMLSyntaxError) {
        let isArray = cursor.take("[")
        cursor.skipBlanks()
        let name = try cursor.key()
        cursor.skipBlanks()
        guard cursor.take("]"), !isArray || cursor.take("]") else {
            throw cursor.error("\(isArray ? "']]'" : "']'") is missing after the table's name")
        }
        close()
        guard scalars[name] == nil, tables[name] == nil, isArray || arrays[name] == nil else {
            throw cursor.error("'\(name)' is there twice")
        }
        place = isArray ? .element(name) : .table(name)
    }

    mutating func readKey(_ cursor: inout LineCursor) throws(TOMLSyntaxError) {
        let key = try cursor.key()
        cursor.skipBlanks()
        guard cursor.take("=") else { throw cursor.error("'=' is missing after the key '\(key)'") }
        cursor.skipBlanks()
        guard open.updateValue(try cursor.value(), forKey: key) == nil else {
            throw cursor.error("the key '\(key)' is there twice")
        }
    }

    /// Puts the table that was being read in its place.
    private mutating func close() {
        switch place {
        case .top: scalars = open
        case .table(let name): tables[name] = open
        case .element(let name): arrays[name, default: []].append(open)
        }
        open = [:]
    }

    mutating func finish() -> [String: TOMLValue] {
        close()
        // No name is in two of the three: every header was checked against all of them.
        return scalars.merging(tables.mapValues { .table($0) }) { $1 }.merging(arrays.mapValues { .tables($0) }) { $1 }
    }
}

/// One line, read from left to right.
private struct LineCursor {
    private let line: ArraySlice<UInt8>
    private let number: Int
    private var position: Int

    init(_ line: ArraySlice<UInt8>, number: Int) {
        self.line = line
        self.number = number
        position = line.startIndex
    }

    /// Whether nothing but a comment is left.
    var isAtEnd: Bool { peek == nil || peek == UInt8(ascii: "#") }

    private var peek: UInt8? { position < line.endIndex ? line[position] : nil }

    func error(_ reason: String) -> TOMLSyntaxError {
        TOMLSyntaxError(line: number, column: position - line.startIndex + 1, reason: reason)
    }

    /// Refuses control characters, which TOML allows nowhere but for the tab.
    func checkCharacters() throws(TOMLSyntaxError) {
        guard let place = line.firstIndex(where: { ($0 < 0x20 && $0 != UInt8(ascii: "\t")) || $0 == 0x7F }) else {
            return
        }
        let byte = line[place]
        throw TOMLSyntaxError(
            line: number, column: place - line.startIndex + 1,
            reason: byte == 0 ? "a NUL byte" : "the control character \(byte)")
    }

    mutating func skipBlanks() {
        while peek == UInt8(ascii: " ") || peek == UInt8(ascii: "\t") { position += 1 }
    }

    mutating func take(_ mark: Unicode.Scalar) -> Bool {
        guard peek == UInt8(ascii: mark) else { return false }
        position += 1
        return true
    }

    private mutating func run(while belongs: (UInt8) -> Bool) -> String {
        let start = position
        while let byte = peek, belongs(byte) { position += 1 }
        return String(decoding: line[start..<position], as: UTF8.self)
    }

    mutating func key() throws(TOMLSyntaxError) -> String {
        let key = run { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
                true
            default:
                false
            }
        }
        guard !key.isEmpty else { throw error("a name of letters, digits, '-' and '_' should be here") }
        guard peek != UInt8(ascii: ".") else { throw error("dotted names are not used here") }
        return key
    }

    mutating func value() throws(TOMLSyntaxError) -> TOMLValue {
        switch peek {
        case UInt8(ascii: "\""): return .string(try basicString())
        case UInt8(ascii: "'"): return .string(try literalString())
        case UInt8(ascii: "["): return .strings(try strings())
        case UInt8(ascii: "{"): throw error("inline tables are not used here; write a [table]")
        case nil, UInt8(ascii: "#"): throw error("a value should be here")
        default: return try word()
        }
    }

    /// An array of strings, on one line.
    private mutating func strings() throws(TOMLSyntaxError) -> [String] {
        let start = self
        position += 1
        var strings: [String] = []
        skipBlanks()
        while !take("]") {
            switch peek {
            case UInt8(ascii: "\""): strings.append(try basicString())
            case UInt8(ascii: "'"): strings.append(try literalString())
            default: throw start.error("of arrays, only those of strings, on one line, are used here")
            }
            skipBlanks()
            guard take(",") || peek == UInt8(ascii: "]") else {
                throw error("',' or ']' should follow a string of an array")
            }
            skipBlanks()
        }
        return strings
    }

    private mutating func word() throws(TOMLSyntaxError) -> TOMLValue {
        let start = self
        let text = run { $0 > UInt8(ascii: " ") && $0 != UInt8(ascii: "#") }
        if text == "true" || text == "false" { return .boolean }
        let unsigned = text.first == "+" || text.first == "-" ? text.dropFirst() : text[...]
        // An underscore stands between two digits.
        let groups = unsigned.split(separator: "_", omittingEmptySubsequences: false)
        let digits = groups.joined()
        let areGroupsSound = groups.allSatisfy { !$0.isEmpty }
        if areGroupsSound, digits.utf8.allSatisfy({ (48...57).contains($0) }) {
            guard digits == "0" || digits.first != "0" else { throw start.error("a number does not begin with 0") }
            guard let integer = Int((text.first == "-" ? "-" : "") + digits) else {
                throw start.error("the number does not fit into 64 bits")
            }
            return .integer(integer)
        }
        let isSpelledAsNumber = text.utf8.allSatisfy { byte in
            (48...57).contains(byte) || "+-.eE_".utf8.contains(byte)
        }
        guard areGroupsSound, isSpelledAsNumber, Double(digits) != nil else {
            throw start.error("not a value: strings stand in quotes, integers are decimal")
        }
        return .float
    }

    private mutating func literalString() throws(TOMLSyntaxError) -> String {
        position += 1
        let text = run { $0 != UInt8(ascii: "'") }
        guard take("'") else { throw error("the closing ' is missing") }
        guard !(text.isEmpty && peek == UInt8(ascii: "'")) else { throw error("multi-line strings are not used here") }
        return text
    }

    private mutating func basicString() throws(TOMLSyntaxError) -> String {
        position += 1
        var text = ""
        while true {
            text += run { $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }
            if take("\"") { break }
            guard take("\\") else { throw error("the closing \" is missing") }
            text.unicodeScalars.append(try escape())
        }
        guard !(text.isEmpty && peek == UInt8(ascii: "\"")) else { throw error("multi-line strings are not used here") }
        return text
    }

    /// What stands for itself, or by four or eight hexadecimal digits, behind a backslash.
    private mutating func escape() throws(TOMLSyntaxError) -> Unicode.Scalar {
        let simple: [(mark: Unicode.Scalar, meaning: Unicode.Scalar)] = [
            ("\"", "\""), ("\\", "\\"), ("t", "\t"), ("n", "\n"), ("r", "\r"), ("b", "\u{8}"), ("f", "\u{C}"),
        ]
        for (mark, meaning) in simple where take(mark) { return meaning }
        let digitCount = take("u") ? 4 : take("U") ? 8 : 0
        var left = digitCount
        let digits = run { byte in
            left -= 1
            return left >= 0 && Character(Unicode.Scalar(byte)).isHexDigit
        }
        guard digitCount > 0, digits.utf8.count == digitCount, let number = UInt32(digits, radix: 16),
            let scalar = Unicode.Scalar(number)
        else { throw error("an unknown escape") }
        return scalar
    }
}
