// What goes into a replica and what comes out of it.

import ErasureCode
import Fingerprint

/// Where an answer goes: a connection's session and the request's number on it.
package struct RequestTag: Hashable, Sendable {
    package let session: UInt64
    package let request: UInt64

    package init(session: UInt64, request: UInt64) {
        self.session = session
        self.request = request
    }
}

/// Names work that a replica has asked for, so that its completion finds its way back.
package struct WorkToken: Hashable, Sendable {
    /// Tells the work from what was remembered in its place before. Numbers come again after 2³² pieces of work; what
    /// has not been completed by then is still told by its place.
    private let number: UInt32
    private let placeNumber: UInt32

    init(number: UInt32, place: Int) {
        self.number = number
        placeNumber = UInt32(place)
    }

    /// The position in the table in which the work is remembered.
    var place: Int { Int(placeNumber) }
}

/// Why the store did not do what it was asked.
package enum StoreFailure: Error, Hashable, Sendable {
    /// No room; nothing of the change was written.
    case full
    /// The store cannot be read or written.
    case failed
    /// What the store knew of this object is damaged; of others it is not.
    case recordLost
}

/// What a replica is told. Indirect where a case is far larger than the others, which pass through many hands.
package enum ReplicaInput: Sendable {
    case request(RequestTag, from: Principal, Request)
    /// Answers `.load`; nil when the store knows nothing of the object.
    case loaded(ObjectKey, Result<ObjectRecord?, StoreFailure>)
    /// Answers `.verify`.
    case verified(WorkToken, Result<VerificationEvidence, Refusal>)
    /// Answers `.store`: the change is durable, and the statements are signed in the order asked.
    case stored(WorkToken, Result<[SignedStatement], StoreFailure>)
    /// Answers `.inspect`.
    case inspected(WorkToken, Result<Void, Refusal>)
    /// The server's clock, in milliseconds; used for retention only, never for safety.
    case tick(milliseconds: UInt64)
    /// Answers `.findDue`.
    case due([ObjectKey])
    /// Answers `.findBare`.
    case bare(ClientID, [ObjectKey])
    /// Something that the store should hold is lost, as was found when it was to be read: for this answer, if for any.
    indirect case lost(ObjectKey, [LostParts], answering: (tag: RequestTag, reply: Reply)?)
    /// Answers `.verifyVersions`; also what a server finds out by the way.
    indirect case found(ObjectKey, VersionFindings)
    /// What this server has found for a version that wants it; answered by `.repairEnded`.
    indirect case repaired(ObjectKey, [RepairedParts], number: UInt64)
    /// What another server has committed, as its certificate proves; answered by `.repairEnded`.
    indirect case learned(ObjectKey, VerifiedCertificate, number: UInt64)
    /// The lives of servers that count from now on.
    case fenced(Fences)
}

/// Parts that the store has lost.
package enum LostParts: Equatable, Sendable {
    /// Without it nothing of the version is of use.
    case descriptor(Timestamp)
    case fragments(Timestamp)
    /// A stripe that is staged, its fragment or its entry.
    case stripe(AttemptName, UInt32)
}

/// What a replica wants done; indirect as an input is.
package enum ReplicaEffect: Sendable {
    case reply(RequestTag, Reply)
    /// Reply `.version(claim, parts)` with what the store holds of the version.
    case replyWithVersion(RequestTag, CommittedClaim, ObjectKey, Timestamp, Read.Portion)
    /// Reply `.fetched` with what the store has of what is asked for.
    case replyWithFetched(RequestTag, Fetch)
    /// Find out whether what is staged of a version is what its descriptor says.
    case inspect(WorkToken, ObjectKey, StagedContents, of: Principal)
    /// Reply `.refused(.tooManyPending)` with the versions' descriptors from the store.
    case replyTooManyPending(RequestTag, ObjectKey, [(timestamp: Timestamp, statement: SignedStatement)])
    /// Read the object's record from the store, for whose request; nil: for the server itself.
    case load(ObjectKey, of: Principal?)
    /// Check what the principal's request proves.
    case verify(WorkToken, VerificationJob, of: Principal)
    /// Make the change durable, then sign the statements; in the order in which these effects come.
    case store(WorkToken, ObjectChange?, [Statement])
    /// Name objects that are due before the given time.
    case findDue(beforeMilliseconds: UInt64)
    /// Read the object as a client does and tell what was found: when there is time, or at once.
    case verifyVersions(ObjectKey, isUrgent: Bool)
    /// Name objects above this one at which the client has versions here and none is committed.
    case findBare(ClientID, after: ObjectKey?)
    /// Have the certificate count again, which does not here.
    indirect case restate(ObjectKey, Certificate)
    /// This very server has signed that it holds this version, and knows nothing of it.
    case forgotten(ObjectKey, Timestamp)
    /// What was found under this number is durable here, or was not taken.
    case repairEnded(number: UInt64, Result<Void, RepairRefusal>)
}

/// What a server has found out about an object's versions by reading it.
package struct VersionFindings: Sendable {
    /// The server that has read.
    package let node: NodeID
    /// The highest committed version that is sound.
    package let sound: (certificate: VerifiedCertificate, descriptor: SealedDescriptor)?
    /// Versions of which this server has seen m fragments that match their hashes and are no block's encoding.
    package let poisonous: [Timestamp]
    /// f + 1 servers' *poisonous* statements.
    package let proofs: [Timestamp: [VerifiedStatement]]

    package init(_ outcome: ReadOutcome, by node: NodeID) {
        self.node = node
        poisonous = outcome.poisonous
        proofs = outcome.proofs
        if let certificate = outcome.certificate, let descriptor = outcome.descriptor {
            sound = (certificate, descriptor)
        } else {
            sound = nil
        }
    }
}

/// What clients leave unfinished at an object.
package enum UnfinishedKind: UInt8, CaseIterable, Sendable {
    /// Versions, while none is committed.
    case versions = 1
    /// Stripes of uploads that are not over.
    case uploads = 2
}

/// One atomic, durable change of one object.
package struct ObjectChange: Sendable {
    package let key: ObjectKey
    package let record: ObjectRecord
    package let puts: [VersionParts]
    /// Versions whose descriptor and fragments are given back.
    package let drops: [Timestamp]
    /// Stripes for versions to come.
    package let stagedPuts: [StagedStripe]
    /// Attempts of which all that is stored is given back, before anything is put.
    package let stagedDrops: [StagedDrop]
    /// When the object next has something to drop or to verify; nil for never.
    package let nextDueMilliseconds: UInt64?
    /// What it changes of what clients are charged; none of them is nothing.
    package let charges: [ClientCharge]
    /// Who begins or ceases to have something unfinished here.
    package let listings: [ListingChange]
    /// What it changes of what listings tell of the object.
    package let live: LiveChange
    /// What it changes of what the server wants of the object.
    package let want: WantChange

    package struct ListingChange: Equatable, Sendable {
        package let client: ClientID
        package let kind: UnfinishedKind
        package let isListed: Bool
    }

    /// Whether the change leads to space being given back: everything but what stores a value, and of deletions only
    /// one of something. So each that is taken on a full disk needs a value that was stored before, but for the pending
    /// versions that a client may have anyway.
    package var freesSpace: Bool {
        stagedPuts.isEmpty
            && puts.allSatisfy { parts in
                !parts.descriptor.descriptor.hasStripes && record.mayHoldValue(below: parts.timestamp)
            }
    }

    /// What is stored of one version.
    package struct VersionParts: Sendable {
        package let timestamp: Timestamp
        package let descriptor: SealedDescriptor
        /// Empty when only the descriptor is stored.
        package let fragments: [VerifiedFragment]
    }
}
