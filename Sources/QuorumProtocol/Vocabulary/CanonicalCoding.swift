// The one byte encoding of what is hashed, signed, stored and sent: fixed order, big-endian integers, counted byte
// strings. Decoding is strict: a length is checked against what is left before anything is allocated, and bytes left
// over are an error, so that each value has exactly one encoding.

import Fingerprint

/// Appends values to bytes in canonical form.
package struct CanonicalEncoder {
    package private(set) var bytes: [UInt8] = []

    package init(reservingBytes capacity: Int = 256) {
        bytes.reserveCapacity(capacity)
    }

    package mutating func append<I: FixedWidthInteger & UnsignedInteger>(_ value: I) {
        withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
    }

    package mutating func append(raw: some Sequence<UInt8>) {
        bytes.append(contentsOf: raw)
    }

    /// A string of at most 255 bytes with its count in one byte.
    package mutating func append(tag: String) {
        var tag = tag
        tag.withUTF8 { utf8 in
            precondition(utf8.count <= 255)
            append(UInt8(utf8.count))
            bytes.append(contentsOf: utf8)
        }
    }

    /// Bytes with their count in 32 bits.
    package mutating func append(counted: [UInt8]) {
        append(UInt32(counted.count))
        bytes.append(contentsOf: counted)
    }

    package mutating func append(_ byte: UInt8) {
        bytes.append(byte)
    }

    /// A part of a document that may grow: its number, its size in 32 bits, and what `write` appends.
    package mutating func append(section number: UInt16, _ write: (inout CanonicalEncoder) -> Void) {
        append(number)
        let sizeOffset = bytes.count
        append(UInt32(0))
        write(&self)
        let size = UInt32(bytes.count - sizeOffset - 4)
        withUnsafeBytes(of: size.bigEndian) { bytes.replaceSubrange(sizeOffset..<sizeOffset + 4, with: $0) }
    }

    package mutating func append(_ digest: Digest256) {
        digest.withUnsafeBytes { bytes.append(contentsOf: $0) }
    }

    /// The words one after another.
    mutating func append(_ first: UInt64, _ second: UInt64, _ third: UInt64) {
        withUnsafeBytes(of: (first.bigEndian, second.bigEndian, third.bigEndian)) { bytes.append(contentsOf: $0) }
    }

    package mutating func append(_ name: some SixteenByteName) {
        withUnsafeBytes(of: (name.high.bigEndian, name.low.bigEndian)) { bytes.append(contentsOf: $0) }
    }

    package mutating func append(_ timestamp: Timestamp) {
        append(timestamp.counter, timestamp.writer.high, timestamp.writer.low)
        append(timestamp.digest)
    }

    package mutating func append(_ timestamp: Timestamp?) {
        append(UInt8(timestamp == nil ? 0 : 1))
        if let timestamp { append(timestamp) }
    }
}

/// Writes values in the same form into memory that has room for all of them: for what is made so often that growing an
/// array would show.
struct CanonicalWriter {
    private let start: UnsafeMutableRawPointer
    private let capacity: Int
    private(set) var count = 0

    /// The bytes that `write` leaves, at most `capacity` of them.
    static func bytes(capacity: Int, _ write: (inout CanonicalWriter) -> Void) -> [UInt8] {
        withBytes(capacity: capacity, write) { [UInt8]($0) }
    }

    /// Calls `body` with those bytes, valid only during the call.
    static func withBytes<Result>(
        capacity: Int, _ write: (inout CanonicalWriter) -> Void, body: (UnsafeRawBufferPointer) -> Result
    ) -> Result {
        precondition(capacity > 0)
        return withUnsafeTemporaryAllocation(byteCount: capacity, alignment: 1) { buffer in
            var writer = CanonicalWriter(start: buffer.baseAddress!, capacity: capacity)
            write(&writer)
            return body(UnsafeRawBufferPointer(rebasing: buffer[..<writer.count]))
        }
    }

    mutating func append<I: FixedWidthInteger & UnsignedInteger>(_ value: I) {
        take(MemoryLayout<I>.size).storeBytes(of: value.bigEndian, as: I.self)
    }

    mutating func append(_ digest: Digest256) {
        take(Digest256.sizeBytes).storeBytes(of: digest, as: Digest256.self)
    }

    mutating func append(_ timestamp: Timestamp) {
        append(timestamp.counter)
        append(timestamp.writer.high)
        append(timestamp.writer.low)
        append(timestamp.digest)
    }

    /// A string of at most 255 bytes with its count in one byte.
    mutating func append(tag: StaticString) {
        precondition(tag.utf8CodeUnitCount <= 255)
        append(UInt8(tag.utf8CodeUnitCount))
        append(UnsafeRawBufferPointer(start: tag.utf8Start, count: tag.utf8CodeUnitCount))
    }

    /// Bytes with their count in 32 bits.
    mutating func append(counted bytes: [UInt8]) {
        append(UInt32(bytes.count))
        bytes.withUnsafeBytes { append($0) }
    }

    private mutating func append(_ bytes: UnsafeRawBufferPointer) {
        if let source = bytes.baseAddress { take(bytes.count).copyMemory(from: source, byteCount: bytes.count) }
    }

    /// Where the next bytes go.
    private mutating func take(_ sizeBytes: Int) -> UnsafeMutableRawPointer {
        precondition(sizeBytes <= capacity - count)
        defer { count += sizeBytes }
        return start + count
    }
}

/// Why bytes are no encoding of what was expected.
public enum MalformedEncoding: Error, Equatable, Sendable, CustomStringConvertible {
    /// The bytes end before `field` does.
    case truncated(field: String)
    /// `field` says more than is allowed.
    case overLimit(field: String, value: UInt64, limit: UInt64)
    /// `field` has a value that names nothing.
    case unknownValue(field: String, value: UInt64)
    /// `field` is not in the one form that is allowed.
    case notCanonical(field: String)
    /// Bytes are left over.
    case trailingBytes(count: Int)

    public var description: String {
        switch self {
        case .truncated(let field): "the bytes end within \(field)"
        case .overLimit(let field, let value, let limit): "\(field) is \(value), over the limit of \(limit)"
        case .unknownValue(let field, let value): "\(field) has the unknown value \(value)"
        case .notCanonical(let field): "\(field) is not in canonical form"
        case .trailingBytes(let count): "\(count) bytes are left over"
        }
    }
}

/// Takes values from bytes in canonical form; never reads past the end, never allocates more than is there.
package struct CanonicalDecoder {
    private let bytes: [UInt8]
    private var position: Int

    package init(_ bytes: [UInt8]) {
        self.bytes = bytes
        position = 0
    }

    package var remaining: Int { bytes.count - position }

    private mutating func advance(_ count: Int, _ field: String) throws(MalformedEncoding) -> Range<Int> {
        guard count <= remaining else { throw .truncated(field: field) }
        defer { position += count }
        return position..<(position + count)
    }

    package mutating func integer<I: FixedWidthInteger & UnsignedInteger>(
        _ field: String, as type: I.Type = I.self
    ) throws(MalformedEncoding) -> I {
        let range = try advance(MemoryLayout<I>.size, field)
        var value: I = 0
        for offset in range { value = value << 8 | I(bytes[offset]) }
        return value
    }

    /// A count that must not be above `limit`.
    package mutating func count<I: FixedWidthInteger & UnsignedInteger>(
        _ field: String, as type: I.Type, limit: Int
    ) throws(MalformedEncoding) -> Int {
        let value: I = try integer(field)
        guard UInt64(value) <= UInt64(limit) else {
            throw .overLimit(field: field, value: UInt64(value), limit: UInt64(limit))
        }
        return Int(value)
    }

    package mutating func raw(_ count: Int, _ field: String) throws(MalformedEncoding) -> ArraySlice<UInt8> {
        bytes[try advance(count, field)]
    }

    /// Passes over as many of the bytes that are left as `measure` says of them, which may fail.
    mutating func skim(
        _ measure: (UnsafeRawBufferPointer) throws(MalformedEncoding) -> Int
    ) throws(MalformedEncoding) -> ArraySlice<UInt8> {
        let count = bytes.withUnsafeBytes { all in
            Result { () throws(MalformedEncoding) in try measure(all.part(position..<all.count)) }
        }
        return bytes[try advance(try count.get(), "what was measured")]
    }

    /// Bytes with their count in 32 bits, at most `limit`.
    package mutating func counted(_ field: String, limit: Int) throws(MalformedEncoding) -> ArraySlice<UInt8> {
        let size = try count(field, as: UInt32.self, limit: limit)
        return try raw(size, field)
    }

    /// Checks that the next bytes are `tag` as `append(tag:)` writes it.
    package mutating func expect(tag: String, _ field: String) throws(MalformedEncoding) {
        let size = try count(field, as: UInt8.self, limit: 255)
        guard try raw(size, field).elementsEqual(tag.utf8) else { throw .notCanonical(field: field) }
    }

    package mutating func digest(_ field: String) throws(MalformedEncoding) -> Digest256 {
        guard let digest = Digest256(bytes: try raw(32, field)) else { throw .truncated(field: field) }
        return digest
    }

    package mutating func name<N: SixteenByteName>(_ field: String, as type: N.Type = N.self) throws(MalformedEncoding)
        -> N
    {
        N(high: try integer(field), low: try integer(field))
    }

    package mutating func timestamp(_ field: String) throws(MalformedEncoding) -> Timestamp {
        let counter: UInt64 = try integer(field)
        guard counter > 0 else { throw .notCanonical(field: field) }
        return Timestamp(counter: counter, writer: try name(field), digest: try digest(field))
    }

    package mutating func optionalTimestamp(_ field: String) throws(MalformedEncoding) -> Timestamp? {
        try flag(field) ? try timestamp(field) : nil
    }

    /// One byte, 0 or 1.
    package mutating func flag(_ field: String) throws(MalformedEncoding) -> Bool {
        let value: UInt8 = try integer(field)
        guard value <= 1 else { throw .unknownValue(field: field, value: UInt64(value)) }
        return value == 1
    }

    package mutating func text(_ field: String, limit: Int) throws(MalformedEncoding) -> String {
        guard let text = String(validating: try counted(field, limit: limit), as: UTF8.self) else {
            throw .notCanonical(field: field)
        }
        return text
    }

    package mutating func objectKey(_ field: String) throws(MalformedEncoding) -> ObjectKey {
        let bytes = Array(try counted(field, limit: ObjectKey.sizeBytesMax))
        do {
            return try ObjectKey(bytes: bytes)
        } catch {
            throw .notCanonical(field: field)
        }
    }

    /// Checks that nothing is left.
    package func finish() throws(MalformedEncoding) {
        guard remaining == 0 else { throw .trailingBytes(count: remaining) }
    }
}
