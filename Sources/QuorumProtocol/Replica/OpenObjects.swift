// What waits at a replica: requests for their proof, and reads and changes for their object.

import DequeModule
import Fingerprint

/// A request whose proof is being checked.
struct VerifyingRequest: Sendable {
    let tag: RequestTag
    let principal: Principal
    let job: VerificationJob
}

/// The requests whose proofs are being checked.
struct VerifyingRequests: Sendable {
    private var waiting: [VerifyingRequest?] = []
    /// By place, the token of the request that is, or was, there.
    private var tokens: [WorkToken] = []
    private var free: [Int] = []

    /// Remembers a request under a token with this number.
    mutating func add(
        _ job: VerificationJob, tag: RequestTag, from principal: Principal, number: UInt32
    ) -> WorkToken {
        let place = free.popLast() ?? waiting.count
        let token = WorkToken(number: number, place: place)
        let added = VerifyingRequest(tag: tag, principal: principal, job: job)
        if place == waiting.count {
            waiting.append(added)
            tokens.append(token)
        } else {
            waiting[place] = added
            tokens[place] = token
        }
        return token
    }

    /// Takes out the request with this token; nil when there is none.
    mutating func take(_ token: WorkToken) -> VerifyingRequest? {
        guard tokens.indices.contains(token.place), tokens[token.place] == token,
            let taken = waiting[token.place].take()
        else { return nil }
        free.append(token.place)
        return taken
    }
}

/// A change that waits for its turn at an object.
enum WaitingChange: Sendable {
    case prepare(RequestTag, Prepare, VerificationEvidence)
    case commit(RequestTag, VerifiedCertificate)
    case describe(RequestTag, Describe)
    case stage(RequestTag, Stage, VerifiedFragment)
    case discard(RequestTag, Discard)
    case restate(RequestTag, Restate, VerificationEvidence)
    /// What is due at the object's time: versions to drop, or to verify.
    case due
    /// What this server should hold and has lost.
    case lost([LostParts])
    /// What this server has found out about the object's versions.
    case found(VersionFindings)
    /// This server's own statements that versions are poisonous.
    case signed([(timestamp: Timestamp, statement: SignedStatement)])
    /// What this server has found for a version that wants it.
    case repaired([RepairedParts], number: UInt64)
    /// What another server has committed.
    case learned(VerifiedCertificate, number: UInt64)

    var tag: RequestTag? {
        switch self {
        case .prepare(let tag, _, _), .commit(let tag, _), .describe(let tag, _), .stage(let tag, _, _),
            .discard(let tag, _), .restate(let tag, _, _):
            tag
        case .due, .lost, .found, .signed, .repaired, .learned: nil
        }
    }

    /// The number under which the server waits for it.
    var number: UInt64? {
        switch self {
        case .repaired(_, let number), .learned(_, let number): number
        default: nil
        }
    }

    var isStage: Bool {
        if case .stage = self { true } else { false }
    }
}

/// A question that is answered from the object's record, for which it may have to wait.
struct WaitingRead: Sendable {
    enum Question: Sendable {
        case claim
        case certificate(Timestamp)
        case read(Read)
        case held(ListHeld.Kind)
        /// A PREPARE for which this statement was made before.
        indirect case again(Prepare, SignedStatement)
    }

    let tag: RequestTag
    let principal: Principal
    let question: Question
}

/// The change in flight, and what is to be said when it is durable.
struct InFlight: Sendable {
    enum Answer: Sendable {
        case prepared(RequestTag, Timestamp, Claim)
        case reply(RequestTag, Reply)
        case tooManyPending(RequestTag, [Timestamp])
        /// Stripes are staged, each for one request.
        case staged([RequestTag])
        /// The statements are on these versions, which are poisonous.
        case poisonous([Timestamp])
        /// What was found under this number.
        case repaired(number: UInt64)
        case nothing

        /// Whose request is answered.
        var tag: RequestTag? {
            switch self {
            case .prepared(let tag, _, _), .reply(let tag, _), .tooManyPending(let tag, _): tag
            case .staged, .poisonous, .repaired, .nothing: nil
            }
        }
    }

    let token: WorkToken
    let record: ObjectRecord
    /// What it has charged.
    let charges: [ClientCharge]
    let answer: Answer
    /// What is stored once it is known that all that it names is staged; nil when it is on its way to the disk.
    var inspected: Inspected?

    struct Inspected: Sendable {
        let change: ObjectChange
        let statements: [Statement]
    }
}

/// An object with something going on, or, closed, the place of one that had.
struct OpenObject: Sendable {
    fileprivate(set) var key: ObjectKey
    fileprivate(set) var isOpen = true
    /// Whether the place is in the list of free ones.
    fileprivate var isListed = false
    /// The durable record; nil until it is loaded.
    var record: ObjectRecord?
    /// Whether `.due` is among what waits: once is enough, however long the disk takes.
    var isDueWaiting = false
    var reads = FairQueue<WaitingRead>()
    var changes = FairQueue<WaitingChange>()
    private(set) var inFlight: InFlight?
    /// Kept beside it: looking whether it is there copies it.
    private(set) var isStoring = false

    fileprivate init(key: ObjectKey) {
        self.key = key
    }

    mutating func begin(_ change: consuming InFlight) {
        inFlight = change
        isStoring = true
    }

    /// Takes out the change in flight; nil when there is none with this token.
    mutating func takeInFlight(_ token: WorkToken) -> InFlight? {
        guard inFlight?.token == token else { return nil }
        isStoring = false
        return inFlight.take()
    }

    // Inlined, since an object is large and would be copied for the call.
    @inline(__always) var isIdle: Bool { reads.isEmpty && changes.isEmpty && !isStoring }
    @inline(__always) var waitingCount: Int { reads.count + changes.count }

    func waitingCount(of principal: Principal) -> Int {
        reads.count(of: principal) + changes.count(of: principal)
    }

    /// The principal of whom most requests wait here, and how many; nil when none waits.
    var longest: (principal: Principal, count: Int)? {
        [reads.longest?.principal, changes.longest?.principal].compactMap { $0 }
            .map { ($0, waitingCount(of: $0)) }.max { $0.1 < $1.1 }
    }

    /// Takes out the newest request of a principal that has others here before it; nil when there is none.
    mutating func popNewest(of principal: Principal) -> RequestTag? {
        changes.popNewest(of: principal)?.tag ?? reads.popNewest(of: principal)?.tag
    }
}

/// The objects with something going on. Each keeps its place, so that whoever has found it once
/// reads and changes it where it lies; and an object that comes back before another has taken its place has it again.
struct OpenObjects: Sendable {
    typealias Place = Int

    /// By place; those that are not open are free.
    var at: [OpenObject] = []
    /// Of closed objects, too.
    private var places: [ObjectKey: Place] = [:]
    /// All closed objects, and some that are open again, in the order in which they were listed.
    private var free: Deque<Place> = []
    /// The place that was asked for last: what happens to an object mostly happens in several steps.
    private var recent = 0

    func place(of key: ObjectKey) -> Place? {
        guard let place = knownPlace(of: key), at[place].isOpen else { return nil }
        return place
    }

    /// The object's place, open or not.
    private func knownPlace(of key: ObjectKey) -> Place? {
        at.indices.contains(recent) && at[recent].key == key ? recent : places[key]
    }

    mutating func open(_ key: ObjectKey) -> Place {
        if let place = knownPlace(of: key) {
            precondition(!at[place].isOpen)
            at[place].isOpen = true
            recent = place
            return place
        }
        let place = takeFree() ?? at.count
        if place == at.count {
            at.append(OpenObject(key: key))
        } else {
            places[at[place].key] = nil
            at[place].key = key
            at[place].isOpen = true
        }
        places[key] = place
        recent = place
        return place
    }

    private mutating func takeFree() -> Place? {
        while let place = free.popFirst() {
            at[place].isListed = false
            if !at[place].isOpen { return place }
        }
        return nil
    }

    /// Forgets the object; nothing may be in flight for it.
    mutating func close(_ place: Place) {
        precondition(!at[place].isStoring)
        at[place].isOpen = false
        at[place].record = nil
        at[place].isDueWaiting = false
        at[place].reads = FairQueue()
        at[place].changes = FairQueue()
        if !at[place].isListed {
            at[place].isListed = true
            free.append(place)
        }
    }
}
