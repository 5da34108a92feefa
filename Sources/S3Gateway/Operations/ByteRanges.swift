// The header Range (RFC 9110, 14), of which S3 does single ranges and takes no notice of the rest.

enum ByteRanges {
    enum Wanted: Equatable, Sendable {
        case all
        case range(Range<UInt64>)
        /// None of the object's bytes.
        case unsatisfiable
    }

    static func find(_ header: String?, lengthBytes: UInt64) -> Wanted {
        guard let header, header.hasPrefix("bytes=") else { return .all }
        let text = header.dropFirst(6)
        guard let dash = text.firstIndex(of: "-"), !text.contains(",") else { return .all }
        let (first, last) = (text[..<dash], text[text.index(after: dash)...])
        if first.isEmpty {
            guard let count = number(last) else { return .all }
            guard count > 0, lengthBytes > 0 else { return .unsatisfiable }
            return .range((lengthBytes - min(count, lengthBytes))..<lengthBytes)
        }
        guard let begin = number(first) else { return .all }
        var end = lengthBytes
        if !last.isEmpty {
            guard let last = number(last), last >= begin else { return .all }
            end = min(lengthBytes, last == .max ? last : last + 1)
        }
        return begin < lengthBytes ? .range(begin..<end) : .unsatisfiable
    }

    /// The range of a copy's source, which has to be `bytes=FIRST-LAST` and in the source.
    ///
    /// - Throws: `.invalidArgument`.
    static func ofCopy(_ header: String, lengthBytes: UInt64) throws(S3Error) -> Range<UInt64> {
        let text = header.dropFirst(6)
        guard header.hasPrefix("bytes="), let dash = text.firstIndex(of: "-"), let first = number(text[..<dash]),
            let last = number(text[text.index(after: dash)...]), first <= last, last < .max
        else {
            throw .invalidArgument(
                "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the "
                    + "zero-based offsets of the first and last bytes to copy",
                name: "x-amz-copy-source-range", value: header)
        }
        guard last < lengthBytes else {
            throw .invalidArgument(
                "Range specified is not valid for source object of size: \(lengthBytes)",
                name: "x-amz-copy-source-range", value: header)
        }
        return first..<(last + 1)
    }

    private static func number(_ digits: Substring) -> UInt64? {
        guard !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return UInt64(digits) ?? .max
    }
}
