// What is answered to a request.

import ErasureCode
import NIOCore
import NIOHTTP1
import QuorumClient
import Solidus

struct Response: Sendable {
    enum Body: Sendable {
        case none
        case bytes([UInt8])
        /// An object's bytes, as many as `ObjectBytes.range` says.
        case object(ObjectBytes)
    }

    var status: HTTPResponseStatus
    var headers: [(name: String, value: String)] = []
    var body: Body = .none
    /// What a HEAD says of the length that a GET has; nil for that of the body.
    var statedLength: UInt64?
    /// Which of an object's bytes it has; nil for all, or where it is none.
    var range: Range<UInt64>?
    /// Held until it has gone.
    var lease: MemoryShares.Lease?
    /// What the log tells of why it was not done.
    var errorCode: String?

    init(_ status: HTTPResponseStatus = .ok, headers: [(name: String, value: String)] = []) {
        self.status = status
        self.headers = headers
    }

    /// A document.
    static func xml(
        _ status: HTTPResponseStatus = .ok, headers: [(name: String, value: String)] = [],
        _ write: (inout XMLWriter) -> Void
    ) -> Response {
        var writer = XMLWriter()
        write(&writer)
        var response = Response(status, headers: headers)
        response.headers.append(("Content-Type", "application/xml"))
        response.body = .bytes(Array(writer.document.utf8))
        return response
    }

    static func text(_ status: HTTPResponseStatus, _ text: String, type: String = "text/plain") -> Response {
        var response = Response(status, headers: [("Content-Type", "\(type); charset=utf-8")])
        response.body = .bytes(Array(text.utf8))
        return response
    }

    var lengthBytes: UInt64 {
        if let statedLength { return statedLength }
        switch body {
        case .none: return 0
        case .bytes(let bytes): return UInt64(bytes.count)
        case .object(let object): return object.range.upperBound - object.range.lowerBound
        }
    }
}
