// What clients send as XML: elements and text, and nothing that could make a small document large. Document types,
// entities beyond the five that XML has, and processing instructions are refused. Prefixes and namespaces are cut off,
// since clients differ in them.

/// An element that was read.
struct XMLElement: Equatable {
    /// Without a prefix.
    let name: String
    /// All text that is directly in it, together.
    var text = ""
    var children: [XMLElement] = []

    subscript(_ name: String) -> XMLElement? { children.first { $0.name == name } }

    func all(_ name: String) -> [XMLElement] { children.filter { $0.name == name } }

    /// The text of a child, without white space around it; nil without the child.
    func value(_ name: String) -> String? { self[name]?.trimmed }

    /// Its text without white space around it.
    var trimmed: String {
        let bytes = text.utf8
        guard let first = bytes.firstIndex(where: { !XMLReader.isBlank($0) }),
            let last = bytes.lastIndex(where: { !XMLReader.isBlank($0) })
        else { return "" }
        return String(text[first...last])
    }
}

struct XMLReader {
    static let depthMax = 16
    static let elementCountMax = 65_536

    private let bytes: [UInt8]
    private var place = 0
    private var elementCount = 0

    /// The document's root.
    ///
    /// - Throws: `.malformedXML` for what is not well-formed, or is not to be read.
    static func read(_ bytes: [UInt8]) throws(S3Error) -> XMLElement {
        guard String(validating: bytes, as: UTF8.self) != nil else { throw .malformedXML }
        var reader = XMLReader(bytes: bytes)
        return try reader.document()
    }

    private init(bytes: [UInt8]) {
        self.bytes = bytes
    }

    private mutating func document() throws(S3Error) -> XMLElement {
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { place = 3 }
        skipBlanks()
        if take("<?xml") {
            while !take("?>") { _ = try next() }
        }
        try skipMiscellany()
        guard peek == UInt8(ascii: "<") else { throw .malformedXML }
        let root = try element(depth: 1)
        try skipMiscellany()
        guard place == bytes.count else { throw .malformedXML }
        return root
    }

    private mutating func skipMiscellany() throws(S3Error) {
        skipBlanks()
        while take("<!--") {
            try skipComment()
            skipBlanks()
        }
    }

    private mutating func skipComment() throws(S3Error) {
        while !take("-->") { _ = try next() }
    }

    private mutating func element(depth: Int) throws(S3Error) -> XMLElement {
        elementCount += 1
        guard depth <= Self.depthMax, elementCount <= Self.elementCountMax, take("<") else { throw .malformedXML }
        let name = try name()
        var element = XMLElement(name: Self.local(name))
        while true {
            let hadBlank = skipBlanks()
            if take("/>") { return element }
            if take(">") { break }
            guard hadBlank else { throw .malformedXML }
            try attribute()
        }
        var text: [UInt8] = []
        while true {
            if take("</") {
                guard try self.name() == name else { throw .malformedXML }
                skipBlanks()
                guard take(">") else { throw .malformedXML }
                element.text = String(decoding: text, as: UTF8.self)
                return element
            } else if take("<!--") {
                try skipComment()
            } else if take("<![CDATA[") {
                while !take("]]>") { text.append(try character()) }
            } else if peek == UInt8(ascii: "<") {
                element.children.append(try self.element(depth: depth + 1))
            } else if peek == UInt8(ascii: "&") {
                text.append(contentsOf: try reference())
            } else {
                text.append(try character())
            }
        }
    }

    private mutating func attribute() throws(S3Error) {
        _ = try name()
        skipBlanks()
        guard take("=") else { throw .malformedXML }
        skipBlanks()
        let quote = try next()
        guard quote == UInt8(ascii: "\"") || quote == UInt8(ascii: "'") else { throw .malformedXML }
        while true {
            if peek == UInt8(ascii: "&") {
                _ = try reference()
                continue
            }
            let byte = try next()
            if byte == quote { return }
            guard byte != UInt8(ascii: "<") else { throw .malformedXML }
        }
    }

    private mutating func reference() throws(S3Error) -> [UInt8] {
        place += 1
        var name: [UInt8] = []
        while peek != UInt8(ascii: ";") {
            guard name.count < 10 else { throw .malformedXML }
            name.append(try next())
        }
        place += 1
        switch String(decoding: name, as: UTF8.self) {
        case "amp": return [UInt8(ascii: "&")]
        case "lt": return [UInt8(ascii: "<")]
        case "gt": return [UInt8(ascii: ">")]
        case "quot": return [UInt8(ascii: "\"")]
        case "apos": return [UInt8(ascii: "'")]
        case let text:
            guard text.first == "#" else { throw .malformedXML }
            let digits = text.dropFirst()
            let number =
                digits.first == "x" ? UInt32(digits.dropFirst(), radix: 16) : UInt32(digits, radix: 10)
            guard let number, let scalar = Unicode.Scalar(number), Self.isCharacter(scalar) else {
                throw .malformedXML
            }
            return Array(String(Character(scalar)).utf8)
        }
    }

    /// A byte of text that XML allows; ends of lines are one.
    private mutating func character() throws(S3Error) -> UInt8 {
        let byte = try next()
        if byte == 0x0D {
            if peek == 0x0A { place += 1 }
            return 0x0A
        }
        guard byte >= 0x20 || byte == 0x09 || byte == 0x0A else { throw .malformedXML }
        return byte
    }

    private mutating func name() throws(S3Error) -> [UInt8] {
        let begin = place
        while let byte = peek, Self.isNameByte(byte) { place += 1 }
        guard place > begin, place - begin <= 256, !Self.isDigit(bytes[begin]) else { throw .malformedXML }
        return Array(bytes[begin..<place])
    }

    private var peek: UInt8? { place < bytes.count ? bytes[place] : nil }

    private mutating func next() throws(S3Error) -> UInt8 {
        guard place < bytes.count else { throw .malformedXML }
        defer { place += 1 }
        return bytes[place]
    }

    private mutating func take(_ text: StaticString) -> Bool {
        text.withUTF8Buffer { expected in
            guard bytes.count - place >= expected.count else { return false }
            for offset in 0..<expected.count where bytes[place + offset] != expected[offset] { return false }
            place += expected.count
            return true
        }
    }

    @discardableResult
    private mutating func skipBlanks() -> Bool {
        let begin = place
        while let byte = peek, Self.isBlank(byte) { place += 1 }
        return place > begin
    }

    private static func local(_ name: [UInt8]) -> String {
        let colon = name.lastIndex(of: UInt8(ascii: ":")).map { $0 + 1 } ?? 0
        return String(decoding: name[colon...], as: UTF8.self)
    }

    static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0A).contains(byte) || byte == 0x0D }
    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "_"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: ":"), 0x80...:
            true
        default: false
        }
    }

    /// What XML 1.0 has as a character.
    static func isCharacter(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x09, 0x0A, 0x0D, 0x20...0xD7FF, 0xE000...0xFFFD, 0x10000...0x10FFFF: true
        default: false
        }
    }
}
