// One connection: its requests one after the other, each answered before the next is looked at.

import ErasureCode
import NIOCore
import NIOHTTP1
import Solidus

/// What is known of a request beside its head and body.
struct RequestContext: Sendable {
    /// Stands in the response and in the log.
    let id: String
    /// The client's address.
    let peer: String
}

/// Who answers requests.
protocol RequestHandler: Sendable {
    func respond(to head: HTTPRequestHead, _ body: RequestBody, _ context: RequestContext) async -> Response
    /// Called when an answer has gone, or could not.
    func answered(_ head: HTTPRequestHead, _ context: RequestContext, _ response: Response, _ end: AnswerEnd)
}

/// How an answer ended.
struct AnswerEnd: Sendable {
    let sentBytes: UInt64
    let receivedBytes: UInt64
    let duration: Duration
    /// Whether it ended before all of it was there.
    let isCut: Bool
}

struct Connection: Sendable {
    typealias Outbound = NIOAsyncChannelOutboundWriter<HTTPServerResponsePart>

    /// What is read and thrown away so that the connection can go on.
    private static let drainedBytesMax: UInt64 = 1 << 20
    /// The same so that a client who sends on reads the answer before the connection is gone.
    private static let lingeringBytesMax: UInt64 = 256 << 20

    let handler: any RequestHandler
    let peer: String
    let isStopping: @Sendable () -> Bool

    func run(_ channel: NIOAsyncChannel<HTTPServerRequestPart, HTTPServerResponsePart>) async {
        // What a client does to its connection is its own affair.
        try? await channel.executeThenClose { inbound, outbound in
            let parts = RequestParts(inbound)
            while case .head(let head)? = try await parts.next() {
                let body = RequestBody(head, parts, outbound)
                guard try await answer(head, body, outbound) else {
                    try? await channel.channel.close(mode: .output)
                    try await linger(body, parts)
                    return
                }
                while try await body.next() != nil {}
            }
        }
    }

    /// Whether the connection goes on.
    private func answer(_ head: HTTPRequestHead, _ body: RequestBody, _ outbound: Outbound) async throws -> Bool {
        let begin = ContinuousClock.now
        let context = RequestContext(id: RequestIDs.next(), peer: peer)
        let response = await handler.respond(to: head, body, context)
        // A client that was not told to go on may or may not do so; what it sends next could be either. And some take the
        // answer to their next request for one to this, also where there is no body.
        let isDrainable = !body.wasLeftWaiting && (body.leftBytes.map { $0 <= Self.drainedBytesMax } ?? false)
        let keepsAlive = head.isKeepAlive && isDrainable && !isStopping()
        var sentBytes: UInt64 = 0
        defer {
            handler.answered(
                head, context, response,
                AnswerEnd(
                    sentBytes: sentBytes, receivedBytes: body.readBytes, duration: ContinuousClock.now - begin,
                    isCut: head.method != .HEAD && sentBytes != response.lengthBytes && response.statedLength == nil))
        }
        var responseHead = HTTPResponseHead(version: .http1_1, status: response.status)
        responseHead.headers.add(name: "Server", value: "Solidus")
        responseHead.headers.add(name: "Date", value: Dates.http(Dates.now()))
        responseHead.headers.add(name: "x-amz-request-id", value: context.id)
        responseHead.headers.add(name: "x-amz-id-2", value: context.id)
        for (name, value) in response.headers { responseHead.headers.add(name: name, value: value) }
        if response.status != .noContent && response.status != .notModified {
            responseHead.headers.add(name: "Content-Length", value: "\(response.lengthBytes)")
        }
        if !keepsAlive {
            responseHead.headers.add(name: "Connection", value: "close")
        } else if head.isOld {
            responseHead.headers.add(name: "Connection", value: "keep-alive")
        }
        switch response.body {
        case _ where head.method == .HEAD, .none:
            try await outbound.write(contentsOf: [.head(responseHead), .end(nil)])
        case .bytes(let bytes):
            try await outbound.write(
                contentsOf: [.head(responseHead), .body(.byteBuffer(ByteBuffer(bytes: bytes))), .end(nil)])
            sentBytes = UInt64(bytes.count)
        case .object(let object):
            var pieces = object.makeAsyncIterator()
            var waiting: [HTTPServerResponsePart] = [.head(responseHead)]
            // An error here cuts the connection short of the length that was said: nobody takes that for the object.
            while let piece = try await pieces.next() {
                waiting.append(.body(.byteBuffer(ByteBuffer(piece))))
                sentBytes += UInt64(piece.count)
                if sentBytes == response.lengthBytes { break }
                try await outbound.write(contentsOf: waiting)
                waiting = []
            }
            guard sentBytes == response.lengthBytes else { throw CancellationError() }
            try await outbound.write(contentsOf: waiting + [.end(nil)])
        }
        return keepsAlive
    }

    /// Takes what a client still sends, so that the connection is not reset under the answer.
    private func linger(_ body: RequestBody, _ parts: RequestParts) async throws {
        guard !body.isAwaited else { return }
        let before = body.readBytes
        while try await body.next() != nil, body.readBytes - before < Self.lingeringBytesMax {}
    }
}

/// Names by which requests are found in the log.
enum RequestIDs {
    static func next() -> String {
        var generator = SystemRandomNumberGenerator()
        return String(generator.next() as UInt64 | 1 << 63, radix: 16, uppercase: true)
    }
}
