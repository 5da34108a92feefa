// A place between a server's connections, its replica and its disk, for whoever makes the server do what no correct one
// does. It exists for tests: the program that people run leaves it empty, and its path is then direct.

import QuorumProtocol

/// Takes that place. Its methods are called from any thread, some of them while the replica is locked: they must
/// neither block nor call back into the server except through `answer`, and that never from within `keeps`.
package protocol ServerInterposer: AnyObject, Sendable {
    /// The server starts; called once, before anything else.
    ///
    /// - Parameters:
    ///   - signer: the server's signing hand.
    ///   - answer: answers a request, at most once, at any later time; nil lets go of it without an answer.
    func begin(signer: StatementSigner, answer: @escaping @Sendable (RequestTag, Reply?) -> Void)

    /// A request arrives. Returns what the replica is given instead; with nil it is given nothing, and the request is
    /// the interposer's to answer.
    func receive(_ request: Request, from principal: Principal, tag: RequestTag) -> Request?

    /// The replica answers a request that it was given; the request is the interposer's to answer.
    func send(_ reply: Reply, tag: RequestTag)

    /// Whether a change is really stored. When not, the replica is told that it was.
    func keeps(_ change: ObjectChange) -> Bool

    /// What is told instead of this listing; nil when nothing is.
    func list(_ query: ListingQuery, _ answer: ListingAnswer) -> ListingAnswer?

    /// What an auditor is told instead of this; nil when nothing is.
    func audit(_ query: AuditQuery, _ answer: AuditAnswer) -> AuditAnswer?
}

extension ServerInterposer {
    package func list(_ query: ListingQuery, _ answer: ListingAnswer) -> ListingAnswer? { answer }
    package func audit(_ query: AuditQuery, _ answer: AuditAnswer) -> AuditAnswer? { answer }
}
