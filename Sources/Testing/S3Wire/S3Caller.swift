// A client of one server of S3: a connection that is made anew when it is gone. For one thread at a time.

import Foundation

package final class S3Caller {
    private let port: Int
    private let timeoutSeconds: Double
    private var signer: S3Signer
    private var connection: S3Connection?
    /// Told the connection before anything is sent.
    package var connected: ((S3Connection.Handle) -> Void)?

    package init(_ identity: S3Identity, port: Int, timeoutSeconds: Double) {
        self.port = port
        self.timeoutSeconds = timeoutSeconds
        signer = S3Signer(identity, host: "127.0.0.1:\(port)")
    }

    /// Calls and waits for the answer.
    ///
    /// - Parameter take: handed the answer's body in pieces.
    package func call(
        _ call: S3Call, body: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0),
        payloadHash: String = S3Call.unsignedPayload, _ take: (UnsafeRawBufferPointer) -> Void = { _ in }
    ) throws(S3WireError) -> S3Answer {
        let connection = try open()
        connected?(connection.handle)
        do {
            try connection.send(signer.head(call, lengthBytes: body.count, payloadHash: payloadHash), body: body)
            let answer = try connection.receive(isHead: call.method == "HEAD", take)
            if connection.isOver { self.connection = nil }
            return answer
        } catch {
            self.connection = nil
            throw error
        }
    }

    /// Makes the connection if there is none.
    ///
    /// - Throws: `.notSent`.
    @discardableResult
    package func open() throws(S3WireError) -> S3Connection {
        if let connection { return connection }
        let made = try S3Connection(port: port, timeoutSeconds: timeoutSeconds)
        connection = made
        return made
    }

    /// The head of a call whose body somebody else sends.
    package func head(_ call: S3Call, lengthBytes: Int) -> [UInt8] { signer.head(call, lengthBytes: lengthBytes) }

    /// The next call is on another connection.
    package func disconnect() { connection = nil }
}
