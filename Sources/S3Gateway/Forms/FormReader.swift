// Bodies of browsers' forms (multipart/form-data, RFC 7578): their fields up to the file, and then the file as it comes.

import NIOCore

/// A part of a form, by its header Content-Disposition.
struct FormPart: Equatable, Sendable {
    /// In lower case: browsers and S3 do not care.
    let name: String
    /// Without folders; nil where there is none.
    let fileName: String?
    let contentType: String?
}

struct FormReader: Sendable {
    private static let headSizeBytesMax = 8 << 10

    enum Event: Equatable, Sendable {
        case part(FormPart)
        /// Some of the part's content.
        case content(ByteBuffer)
        case partEnd
        /// The form is over; what follows is nothing.
        case end
    }

    private enum State: Sendable {
        case begin
        case head
        case content
        case afterDelimiter
        case end
    }

    private let delimiter: [UInt8]
    private var state = State.begin
    /// What has come and is not told yet.
    private var waiting = ByteBuffer()

    /// Nil when the type is not that of a form.
    init?(contentType: String) {
        let parts = contentType.split(separator: ";").map { $0.drop { $0 == " " } }
        guard parts.first?.lowercased() == "multipart/form-data",
            let parameter = parts.dropFirst().first(where: { $0.lowercased().hasPrefix("boundary=") })
        else { return nil }
        var boundary = parameter.dropFirst("boundary=".count)
        if boundary.count >= 2, boundary.first == "\"", boundary.last == "\"" {
            boundary = boundary.dropFirst().dropLast()
        }
        guard (1...70).contains(boundary.utf8.count) else { return nil }
        delimiter = Array("\r\n--\(boundary)".utf8)
        // The first delimiter may be the first thing that there is.
        waiting.writeString("\r\n")
    }

    mutating func take(_ buffer: ByteBuffer) {
        var buffer = buffer
        waiting.writeBuffer(&buffer)
        waiting.discardReadBytes()
    }

    /// What comes next; nil when more has to come first.
    ///
    /// - Throws: `.invalidRequest` for what is no form.
    mutating func next() throws(S3Error) -> Event? {
        while true {
            switch state {
            case .begin:
                guard let place = find(delimiter) else {
                    drop(keeping: delimiter.count - 1)
                    return nil
                }
                waiting.moveReaderIndex(forwardBy: place + delimiter.count)
                state = .afterDelimiter
            case .afterDelimiter:
                guard waiting.readableBytes >= 2 else { return nil }
                let two = waiting.readBytes(length: 2) ?? []
                if two == Array("--".utf8) {
                    state = .end
                } else if two == [0x0D, 0x0A] {
                    state = .head
                } else {
                    throw Self.malformed
                }
            case .head:
                guard let place = find(Array("\r\n\r\n".utf8)) else {
                    guard waiting.readableBytes <= Self.headSizeBytesMax else { throw Self.malformed }
                    return nil
                }
                guard place <= Self.headSizeBytesMax, let head = waiting.readString(length: place) else {
                    throw Self.malformed
                }
                waiting.moveReaderIndex(forwardBy: 4)
                state = .content
                return .part(try Self.part(head))
            case .content:
                if let place = find(delimiter) {
                    if place > 0, let slice = waiting.readSlice(length: place) { return .content(slice) }
                    waiting.moveReaderIndex(forwardBy: delimiter.count)
                    state = .afterDelimiter
                    return .partEnd
                }
                let sure = waiting.readableBytes - (delimiter.count - 1)
                guard sure > 0, let slice = waiting.readSlice(length: sure) else { return nil }
                return .content(slice)
            case .end: return .end
            }
        }
    }

    private mutating func drop(keeping count: Int) {
        waiting.moveReaderIndex(forwardBy: max(0, waiting.readableBytes - count))
    }

    /// Where bytes begin in what waits.
    private func find(_ pattern: [UInt8]) -> Int? {
        waiting.withUnsafeReadableBytes { bytes in
            guard bytes.count >= pattern.count else { return nil }
            var place = 0
            while place <= bytes.count - pattern.count {
                if bytes[place] == pattern[0],
                    pattern.indices.allSatisfy({ bytes[place + $0] == pattern[$0] })
                {
                    return place
                }
                place += 1
            }
            return nil
        }
    }

    private static func part(_ head: String) throws(S3Error) -> FormPart {
        var (name, fileName, type): (String?, String?, String?)
        for line in head.split(separator: "\r\n") {
            guard let colon = line.firstIndex(of: ":") else { throw malformed }
            let value = line[line.index(after: colon)...].drop { $0 == " " }
            switch line[..<colon].lowercased() {
            case "content-disposition":
                name = parameter("name", of: value)
                fileName = parameter("filename", of: value).map { path in
                    String(path.split { $0 == "/" || $0 == "\\" }.last ?? "")
                }
            case "content-type": type = String(value)
            default: break
            }
        }
        guard let name else { throw malformed }
        return FormPart(name: name.lowercased(), fileName: fileName, contentType: type)
    }

    /// A quoted parameter, in which browsers write a quote as `%22`.
    private static func parameter(_ name: String, of value: Substring) -> String? {
        for field in value.split(separator: ";") {
            let field = field.drop { $0 == " " }
            guard field.lowercased().hasPrefix(name + "=") else { continue }
            var text = field.dropFirst(name.count + 1)
            if text.count >= 2, text.first == "\"", text.last == "\"" { text = text.dropFirst().dropLast() }
            return String(text).replacing("%22", with: "\"")
        }
        return nil
    }

    static var malformed: S3Error {
        S3Error(
            .invalidRequest, "The body of your POST request is not well-formed multipart/form-data.")
    }
}
