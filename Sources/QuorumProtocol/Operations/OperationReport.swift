// What an operation has to say of the servers it dealt with: who misbehaved, who refused, who was missing.

import Fingerprint

/// What a server did that no correct server does, or what its disk did to it.
public enum Misbehaviour: Equatable, Sendable, CustomStringConvertible {
    /// It claimed a committed version whose certificate proves nothing.
    case invalidCertificate(CertificateError)
    /// It claimed a committed version and showed no certificate of it.
    case unprovenClaim
    /// It answered PREPARE with a statement that is not its own word on this version.
    case invalidStatement(CertificateError)
    /// It sent a fragment that is not the version's.
    case invalidFragment(FragmentVerificationError)
    /// It sent parts that do not belong to the version they claim to.
    case foreignParts
    /// It answered with something that is no answer to what was asked.
    case unexpectedReply

    public var description: String {
        switch self {
        case .invalidCertificate(let error): "claimed a version with an invalid certificate (\(error))"
        case .unprovenClaim: "claimed a version and showed no certificate of it"
        case .invalidStatement(let error): "signed an invalid statement (\(error))"
        case .invalidFragment(let error): "sent a bad fragment (\(error))"
        case .foreignParts: "sent parts that do not belong to the version they claim to"
        case .unexpectedReply: "answered with something that is no answer to the question"
        }
    }
}

/// The step in which an operation is.
public enum OperationPhase: Sendable, CustomStringConvertible {
    case readTimestamp
    case prepare
    case commit
    case read
    case writeBack
    case stage

    public var description: String {
        switch self {
        case .readTimestamp: "reading the timestamp"
        case .prepare: "preparing"
        case .commit: "committing"
        case .read: "reading"
        case .writeBack: "writing back what was read"
        case .stage: "sending the value"
        }
    }
}

/// What was observed of the servers during an operation.
public struct ServerObservations: Equatable, Sendable {
    /// The servers at the object's positions.
    private let nodes: [NodeID]
    package internal(set) var misbehaviours: [Position: Misbehaviour] = [:]
    package internal(set) var refusals: [Position: Refusal] = [:]
    /// Servers that had not answered yet when the operation was done, although it was waiting for them in particular.
    public internal(set) var slow: [NodeID] = []
    /// How many servers have answered, when a fetch failed, that they have nothing of what was wanted, or sent something
    /// bad.
    package internal(set) var lackingCount = 0

    /// Nothing was observed.
    public init() {
        nodes = []
    }

    package init(_ placement: Placement) {
        nodes = placement.nodes
    }

    /// The server has answered after all.
    mutating func withdrawRefusal(of server: Position) {
        if !refusals.isEmpty { refusals[server] = nil }
    }

    /// Servers that misbehaved, in their order, with what they did.
    public var misbehaving: [(server: NodeID, what: Misbehaviour)] {
        misbehaviours.map { (server: nodes[$0.key.offset], what: $0.value) }.sorted { $0.server < $1.server }
    }

    /// Servers that claimed what they could not prove.
    package var liars: [NodeID] { misbehaviours.filter { $0.value == .unprovenClaim }.map { nodes[$0.key.offset] } }

    /// Servers that refused, in their order, with their reason.
    public var refusing: [(server: NodeID, why: Refusal)] {
        refusals.map { (server: nodes[$0.key.offset], why: $0.value) }.sorted { $0.server < $1.server }
    }
}

/// Why an operation did not succeed, with what was there and what was needed.
public enum OperationFailure: Error, Equatable, Sendable {
    /// Too few servers gave a usable answer in time.
    case unavailable(OperationPhase, answered: [NodeID], need: Int, observations: ServerObservations)
    /// More than f servers refused, so no quorum can be had; at least one of the refusals is a correct server's.
    case refused(OperationPhase, observations: ServerObservations)
    /// The committed version is known, and too few good fragments of it came in time.
    case tooFewFragments(Timestamp, have: Int, need: Int, observations: ServerObservations)
    /// The counter of this object is at its end.
    case timestampExhausted

    public var observations: ServerObservations {
        switch self {
        case .unavailable(_, _, _, let observations), .refused(_, let observations),
            .tooFewFragments(_, _, _, let observations):
            observations
        case .timestampExhausted: ServerObservations()
        }
    }

    /// Whether a write that failed so may yet take effect: its COMMIT has left, or its PREPARE, whose version a later
    /// write of the same client commits when q servers turn out to hold it and are full.
    public var mayHaveTakenEffect: Bool {
        switch self {
        case .unavailable(let phase, _, _, _), .refused(let phase, _): phase == .prepare || phase == .commit
        default: false
        }
    }
}
