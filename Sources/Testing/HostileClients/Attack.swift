// What a hostile client does to a cluster in order to harm others, as one value for each kind.

/// One way to attack. An attack shares nothing with others, so that several may go on at a time, each by its own
/// `Attacker`.
package protocol Attack: Sendable {
    /// Does what has to be there before the attack can begin; it harms nobody.
    ///
    /// - Throws: `AttackError` when the cluster did not let it, and what the task's cancellation throws.
    func prepare(by attacker: Attacker) async throws

    /// Attacks until the task is cancelled, whatever the servers do about it. What was sent and what came back is
    /// counted at the attacker.
    func run(by attacker: Attacker) async
}

extension Attack {
    package func prepare(by attacker: Attacker) async throws {}
}

/// The kinds of attack; the raw value is the name in commands and reports.
package enum AttackKind: String, CaseIterable, Sendable {
    case endlessKeys = "endless-keys"
    case fullQueue = "full-queue"
    case lists
    case forged
    case poison
    case sessions
    case handshakes
    case coldReads = "cold-reads"
    case connections

    /// The attack, new.
    package var attack: any Attack { attack(objectCount: 256) }

    /// The attack, new; if it has to write objects of its own before it begins, with so many.
    package func attack(objectCount: Int) -> any Attack {
        switch self {
        case .endlessKeys: EndlessKeys()
        case .fullQueue: FullQueue()
        case .lists: PendingLists(objectCount: objectCount)
        case .forged: ForgedProofs()
        case .poison: Poison()
        case .sessions: IdleSessions()
        case .handshakes: IdleHandshakes()
        case .coldReads: ColdReads()
        case .connections: ShortConnections()
        }
    }

    /// What it does, for people.
    package var summary: String {
        switch self {
        case .endlessKeys: "PREPAREs of ever new keys, of which none is committed"
        case .fullQueue: "one valid PREPARE again and again, of an object that others write"
        case .lists: "PREPAREs that are refused with the list of what the client has left pending"
        case .forged: "PREPAREs with wrong fragments and COMMITs with wrong signatures"
        case .poison: "versions that are no value's, of objects that others write; committed where servers verify later"
        case .sessions: "as many sessions as one identity may have, with open frames and answers that are not taken"
        case .handshakes: "a stranger who holds every place for a handshake, and takes it again"
        case .coldReads: "reads of objects that are not in memory"
        case .connections: "sessions that are opened and closed"
        }
    }
}

/// Why an attack could not be prepared.
package enum AttackError: Error, Equatable, Sendable, CustomStringConvertible {
    /// There is no object to aim at.
    case noObjects
    /// A server ended the session, or never answered.
    case sessionEnded(server: UInt16)
    /// Too few servers took what the attack needs stored.
    case notStored(key: String, answers: [String])

    package var description: String {
        switch self {
        case .noObjects: "the attack is on objects that others write, and none was named"
        case .sessionEnded(let server): "server \(server) ended the session"
        case .notStored(let key, let answers):
            "\(key) was not stored; the servers answered: \(answers.joined(separator: "; "))"
        }
    }
}
