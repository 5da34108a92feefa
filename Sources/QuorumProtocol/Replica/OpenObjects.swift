// What waits at a replica: requests for their proof, and reads and changes for their object.

import DequeModule
import Fingerprint

/// A request whose proof is being checked.
struct VerifyingRequest: Sendable {
    let tag: RequestTag
    let job: VerificationJob
}

/// The requests whose proofs are being checked.
struct VerifyingRequests: Sendable {
    private var waiting: [VerifyingRequest?] = []
    /// By place, the token of the request that is, or was, there.
    private var tokens: [WorkToken] = []
    private var free: [Int] = []

    /// Remembers a request under a token with this number.
    mutating func add(_ job: VerificationJob, tag: RequestTag, number: UInt32) -> WorkToken {
        let place = free.popLast() ?? waiting.count
        let token = WorkToken(number: number, place: place)
        let added = VerifyingRequest(tag: tag, job: job)
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

/// What waits at an object, in its order. Mostly there is one, which needs no memory of its own.
struct WaitingQueue<Element: Sendable>: Sendable {
    private var first: Element?
    private var others: Deque<Element> = []
    /// Kept beside them: looking whether an optional element is there copies it.
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    mutating func append(_ element: consuming Element) {
        if count == 0 { first = element } else { others.append(element) }
        count += 1
    }

    mutating func prepend(_ element: consuming Element) {
        if let second = first.take() { others.prepend(second) }
        first = element
        count += 1
    }

    mutating func popFirst() -> Element? {
        guard count > 0 else { return nil }
        count -= 1
        let popped = first.take()
        if count > 0 { first = others.popFirst() }
        return popped
    }
}

/// A change that waits for its turn at an object.
enum WaitingChange: Sendable {
    case prepare(RequestTag, Prepare, VerificationEvidence)
    case commit(RequestTag, VerifiedCertificate)
    case describe(RequestTag, Describe)
    /// What is due at the object's time: versions to drop, or to verify.
    case due
    /// What this server has found out about the object's versions.
    case found(VersionFindings)
    /// This server's own statements that versions are poisonous.
    case signed([(timestamp: Timestamp, statement: SignedStatement)])

    var tag: RequestTag? {
        switch self {
        case .prepare(let tag, _, _), .commit(let tag, _), .describe(let tag, _): tag
        case .due, .found, .signed: nil
        }
    }
}

/// A question that waits for the object's record to be loaded.
struct WaitingRead: Sendable {
    enum Question: Sendable {
        case claim
        case certificate(Timestamp)
        case read(Read)
    }

    let tag: RequestTag
    let question: Question
}

/// The change in flight, and what is to be said when it is durable.
struct InFlight: Sendable {
    enum Answer: Sendable {
        case prepared(RequestTag)
        case reply(RequestTag, Reply)
        case tooManyPending(RequestTag, [Timestamp])
        /// The statements are on these versions, which are poisonous.
        case poisonous([Timestamp])
        case nothing

        /// Whose request is answered.
        var tag: RequestTag? {
            switch self {
            case .prepared(let tag), .reply(let tag, _), .tooManyPending(let tag, _): tag
            case .poisonous, .nothing: nil
            }
        }
    }

    let token: WorkToken
    let record: ObjectRecord
    let answer: Answer
}

/// An object with something going on, or, closed, the place of one that had.
struct OpenObject: Sendable {
    fileprivate(set) var key: ObjectKey
    fileprivate(set) var isOpen = true
    /// Whether the place is in the list of free ones.
    fileprivate var isListed = false
    /// The durable record; nil until it is loaded.
    var record: ObjectRecord?
    var reads = WaitingQueue<WaitingRead>()
    var changes = WaitingQueue<WaitingChange>()
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
        at[place].reads = WaitingQueue()
        at[place].changes = WaitingQueue()
        if !at[place].isListed {
            at[place].isListed = true
            free.append(place)
        }
    }
}
