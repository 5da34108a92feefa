// The parts of the requests of one connection, and the body of the request that is being answered.

import NIOCore
import NIOHTTP1

/// What comes over a connection. For one task at a time.
final class RequestParts {
    private var iterator: NIOAsyncChannelInboundStream<HTTPServerRequestPart>.AsyncIterator

    init(_ inbound: NIOAsyncChannelInboundStream<HTTPServerRequestPart>) {
        iterator = inbound.makeAsyncIterator()
    }

    func next() async throws -> HTTPServerRequestPart? { try await iterator.next() }
}

/// A body that is read as somebody asks for it. For one task at a time.
final class RequestBody: AsyncSequence {
    typealias Element = ByteBuffer
    typealias Outbound = NIOAsyncChannelOutboundWriter<HTTPServerResponsePart>

    /// By the header; nil where the body is in HTTP's chunks.
    let contentLength: UInt64?
    /// Whether nothing says that there is a body.
    let isAbsent: Bool
    /// Whether the client said that it waits for a word before it sends the body, also where there is none.
    private let expects: Bool
    private let parts: RequestParts
    private let outbound: Outbound
    /// Whether the client waits to be told to go on.
    private(set) var isAwaited: Bool
    private(set) var isAtEnd = false
    private(set) var readBytes: UInt64 = 0

    init(_ head: HTTPRequestHead, _ parts: RequestParts, _ outbound: Outbound) {
        self.parts = parts
        self.outbound = outbound
        let isChunked = head.headers.contains(name: "transfer-encoding")
        let length = head.headers.first(name: "content-length").flatMap { UInt64($0) }
        contentLength = isChunked ? nil : length ?? 0
        isAbsent = !isChunked && length == nil
        expects = head.expectsContinue
        isAwaited = expects && contentLength != 0
    }

    /// The next piece; nil at the end.
    ///
    /// - Throws: `S3Error` when the connection ends first.
    func next() async throws -> ByteBuffer? {
        guard !isAtEnd else { return nil }
        if isAwaited {
            isAwaited = false
            try await outbound.write(.head(HTTPResponseHead(version: .http1_1, status: .continue)))
        }
        switch try await parts.next() {
        case .body(let buffer):
            readBytes += UInt64(buffer.readableBytes)
            return buffer
        case .end:
            isAtEnd = true
            return nil
        case .head, nil:
            throw CheckedPayload.incomplete(provided: readBytes, expected: contentLength ?? readBytes)
        }
    }

    /// Whether the client waited to be told to go on, and never was.
    var wasLeftWaiting: Bool { expects && (isAwaited || contentLength == 0) }

    /// How many bytes are left; nil when that is not known.
    var leftBytes: UInt64? { isAtEnd ? 0 : contentLength.map { $0 - Swift.min($0, readBytes) } }

    /// All of it.
    ///
    /// - Throws: `error` when it has more bytes than that.
    func collect(upTo limit: Int, else error: S3Error) async throws -> [UInt8] {
        if let contentLength, contentLength > UInt64(limit) { throw error }
        var bytes: [UInt8] = []
        while let buffer = try await next() {
            guard bytes.count + buffer.readableBytes <= limit else { throw error }
            bytes.append(contentsOf: buffer.readableBytesView)
        }
        return bytes
    }

    struct AsyncIterator: AsyncIteratorProtocol {
        let body: RequestBody
        mutating func next() async throws -> ByteBuffer? { try await body.next() }
    }

    func makeAsyncIterator() -> AsyncIterator { AsyncIterator(body: self) }
}

extension HTTPRequestHead {
    /// Whether the client waits to be told to send a body.
    var expectsContinue: Bool { !isOld && headers.first(name: "expect")?.lowercased() == "100-continue" }

    /// Whether it is of a version before 1.1.
    var isOld: Bool { version.major < 1 || (version.major == 1 && version.minor < 1) }
}
