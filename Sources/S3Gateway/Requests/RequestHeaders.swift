// The headers of a request as S3 reads them.

import NIOHTTP1

/// Headers by lower-case name.
struct RequestHeaders: Sendable {
    /// In the order of the request.
    let all: [(name: String, value: String)]

    init(_ headers: HTTPHeaders) {
        all = headers.map { ($0.name.lowercased(), Self.trimmed($0.value)) }
    }

    init(_ headers: [(name: String, value: String)]) {
        all = headers.map { ($0.name.lowercased(), Self.trimmed($0.value)) }
    }

    /// The first value; nil when there is none.
    subscript(_ name: String) -> String? { all.first { $0.name == name }?.value }

    /// All values under a name.
    func values(_ name: String) -> [String] { all.filter { $0.name == name }.map(\.value) }

    /// Those whose names begin so.
    func beginning(with prefix: String) -> [(name: String, value: String)] {
        all.filter { $0.name.utf8.starts(with: prefix.utf8) }
    }

    private static func trimmed(_ value: String) -> String {
        func isBlank(_ character: UInt8) -> Bool { character == 0x20 || character == 0x09 }
        let bytes = value.utf8
        guard let first = bytes.first, isBlank(first) || isBlank(bytes.last ?? 0) else { return value }
        guard let begin = bytes.firstIndex(where: { !isBlank($0) }),
            let last = bytes.lastIndex(where: { !isBlank($0) })
        else { return "" }
        return String(value[begin...last])
    }
}
