// What the gateway answers, as XML.

/// Builds a document.
struct XMLWriter {
    static let namespace = "http://s3.amazonaws.com/doc/2006-03-01/"

    private var body: [UInt8] = []

    /// The document, as the first thing of which stands the declaration: some clients accept nothing before it.
    var document: String { "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n" + String(decoding: body, as: UTF8.self) }

    /// An element with a name of S3's namespace on it, as the root of most documents is.
    mutating func root(_ name: String, _ content: (inout XMLWriter) -> Void) {
        append("<\(name) xmlns=\"\(Self.namespace)\">")
        content(&self)
        append("</\(name)>")
    }

    mutating func element(_ name: String, attributes: String = "", _ content: (inout XMLWriter) -> Void) {
        append("<\(name)\(attributes.isEmpty ? "" : " " + attributes)>")
        content(&self)
        append("</\(name)>")
    }

    mutating func text(_ name: String, _ value: String) {
        append("<\(name)>")
        escape(value)
        append("</\(name)>")
    }

    /// Text within an element.
    mutating func characters(_ value: String) { escape(value) }

    mutating func number(_ name: String, _ value: some BinaryInteger) { append("<\(name)>\(value)</\(name)>") }
    mutating func flag(_ name: String, _ value: Bool) { append("<\(name)>\(value)</\(name)>") }

    private mutating func append(_ text: String) { body.append(contentsOf: text.utf8) }

    private mutating func escape(_ value: String) {
        for byte in value.utf8 {
            switch byte {
            case UInt8(ascii: "&"): append("&amp;")
            case UInt8(ascii: "<"): append("&lt;")
            case UInt8(ascii: ">"): append("&gt;")
            case UInt8(ascii: "\""): append("&quot;")
            // Reading would change a carriage return; the others are characters of no XML, as S3 shows them.
            case 0x0D, 0x00...0x08, 0x0B, 0x0C, 0x0E...0x1F: append("&#x\(String(byte, radix: 16, uppercase: true));")
            default: body.append(byte)
            }
        }
    }
}
