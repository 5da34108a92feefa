// How transcripts name servers, clients, versions and messages: short, and the same in every run.

import Fingerprint
import QuorumProtocol

enum TranscriptNames {
    /// A, B, C and so on.
    static func name(_ server: Position) -> String {
        String(UnicodeScalar(UInt8(ascii: "A") + server.rawValue % 26))
    }

    /// The same, of the node at that position.
    static func name(_ node: NodeID) -> String {
        name(Position(UInt8(truncatingIfNeeded: node.rawValue &- TestGroup.firstNode)))
    }

    static func names(_ servers: [Position]) -> String { servers.map(name).joined(separator: " ") }

    static func names(_ servers: [NodeID]) -> String { servers.map(name).joined(separator: " ") }

    static func name(_ client: ClientID) -> String {
        switch client {
        case .alice: "alice"
        case .bob: "bob"
        case .mallory: "mallory"
        default: "client \(client.low)"
        }
    }

    /// Counter, writer and the beginning of the digest, as in "3·alice·7f2a".
    static func name(_ timestamp: Timestamp) -> String {
        "\(timestamp.counter)·\(name(timestamp.writer))·\(timestamp.digest.description.prefix(4))"
    }

    static func name(_ timestamp: Timestamp?) -> String { timestamp.map(name) ?? "nothing" }

    static func quoted(_ bytes: [UInt8]?) -> String {
        bytes.map { "\"\(String(decoding: $0, as: UTF8.self))\"" } ?? "nothing"
    }

    private static func signers(_ statements: [SignedStatement]) -> String {
        statements.map { name($0.node) + ($0.claim == .superseded ? "(superseded)" : "") }.joined(separator: " ")
    }

    // MARK: Messages

    static func text(_ request: Request) -> String {
        let object = request.key == .photo ? "" : " of \(request.key)"
        switch request {
        case .readTimestamp: return "READ-TIMESTAMP" + object
        case .prepare(let prepare):
            var text = "PREPARE \(name(prepare.timestamp))" + object
            if let below = prepare.justification { text += ", justified by \(name(below.timestamp))" }
            if !prepare.admission.isEmpty { text += ", admitted by \(signers(prepare.admission))" }
            return text
        case .commit(let commit):
            return "COMMIT \(name(commit.certificate.timestamp))" + object
                + ", signed by \(signers(commit.certificate.statements))"
        case .certificate(_, let timestamp): return "FETCH-CERTIFICATE \(name(timestamp))" + object
        case .describe(let describe): return "DESCRIPTOR \(name(describe.timestamp))" + object
        case .stage(let stage): return "STAGE stripe \(stage.stripe)" + object
        case .discard: return "DISCARD" + object
        case .listHeld: return "LIST-HELD" + object
        case .restate: return "RESTATE" + object
        case .fetch(let fetch): return "FETCH " + (fetch.stripe.map { "stripe \($0)" } ?? "no stripe") + object
        case .read(let read):
            let what =
                switch read.portion {
                case .timestamp: "claim only"
                case .descriptor: "claim and descriptor"
                case .fragments: "claim and fragment"
                }
            return "READ" + object + (read.version.map { " " + name($0) } ?? "") + ": " + what
        }
    }

    static func text(_ reply: Reply) -> String {
        switch reply {
        case .timestamp(let claim): return text(claim)
        case .prepared(let signed, let committed):
            return "PREPARED, signed \(claim(signed.claim)); committed here: \(name(committed))"
        case .committed(let timestamp, let needsDescriptor):
            return "COMMITTED \(name(timestamp))" + (needsDescriptor ? "; needs its descriptor" : "")
        case .certificate(let claim, let certificate):
            guard let certificate else { return text(claim) + "; shows no certificate" }
            return text(claim)
                + "; shows \(name(certificate.timestamp))'s certificate, signed by \(signers(certificate.statements))"
        case .version(let claim, let parts):
            var text = text(claim)
            if let parts {
                text += parts.fragments == nil ? "; descriptor of " : "; fragment of "
                text += parts.timestamp == claim.timestamp ? "it" : name(parts.timestamp)
            }
            return text
        case .staged: return "STAGED"
        case .discarded: return "DISCARDED"
        case .fetched(let parts): return "FETCHED, " + (parts.fragment == nil ? "nothing" : "a fragment")
        case .held: return "HELD"
        case .refused(let refusal): return "REFUSED, " + text(refusal)
        }
    }

    private static func text(_ claim: CommittedClaim) -> String {
        var text = "claims \(name(claim.verified)) committed"
        if !claim.unverified.isEmpty {
            text += ", and unverified " + claim.unverified.map { name($0.timestamp) }.joined(separator: ", ")
        }
        for version in claim.poisonous {
            text += "; shows \(name(version.timestamp)) poisonous by \(signers(version.statements))"
        }
        return text
    }

    private static func claim(_ claim: Claim) -> String {
        switch claim {
        case .stored: "stored"
        case .superseded: "superseded"
        case .poisonous: "poisonous"
        }
    }

    private static func text(_ refusal: Refusal) -> String {
        switch refusal {
        case .tooManyPending(let versions): "\(versions.count) of the client's versions are pending"
        case .foreignTimestamp(let writer, let sender):
            "the timestamp names \(name(writer)); the sender is \(name(sender))"
        default: letters(refusal.description)
        }
    }

    /// Replaces servers' numbers, and positions, by the letters of those servers.
    static func letters(_ text: String) -> String {
        var text = text
        for server in (0..<26).reversed().map({ Position($0) }) {
            let node = NodeID(TestGroup.firstNode + UInt16(server.rawValue))
            text = text.replacing("\(node)", with: name(server)).replacing("\(server)", with: name(server))
        }
        return text
    }

    // MARK: Servers

    /// What a change does to an object's record.
    static func text(_ change: ObjectChange, before: ObjectRecord) -> [String] {
        var texts: [String] = []
        let committed = change.record.committed?.timestamp
        if let committed, before.committed?.timestamp != committed {
            let holds = change.record.version(committed)?.holdsFragments ?? false
            texts.append("commits \(name(committed))" + (holds ? "" : ", of which it holds no fragment"))
        }
        for version in change.record.unverified
        where !before.unverified.contains(where: { $0.timestamp == version.timestamp }) {
            texts.append("records \(name(version.timestamp)) as committed, unverified")
        }
        for version in change.record.poisonous where !before.isPoisonous(version.timestamp) {
            texts.append("no longer takes \(name(version.timestamp)), which is poisonous")
        }
        for version in change.record.held where version.holdsFragments {
            guard before.version(version.timestamp)?.holdsFragments != true else { continue }
            switch committed {
            case version.timestamp? where before.committed?.timestamp == committed:
                texts.append(
                    version.hasStripes
                        ? "stores its fragment of \(name(version.timestamp)), committed already"
                        : "keeps the descriptor of \(name(version.timestamp))")
            case version.timestamp?: break
            default: texts.append("stores \(name(version.timestamp)) as pending")
            }
        }
        for version in change.record.held where !version.holdsFragments && before.version(version.timestamp) == nil {
            texts.append("keeps the descriptor of \(name(version.timestamp))")
        }
        let dropped = change.drops.filter { before.version($0) != nil }
        if !dropped.isEmpty { texts.append("drops \(dropped.map(name).joined(separator: ", "))") }
        return texts
    }

    // MARK: Clients

    static func text(_ outcome: Session.Outcome) -> String {
        let (what, observations): (String, ServerObservations) =
            switch outcome {
            case .wrote(let wrote):
                ("has written \(name(wrote.timestamp)); \(rounds(wrote.rounds))", wrote.observations)
            case .read(let bytes, let read): (found(read.found, bytes) + "; \(rounds(read.rounds))", read.observations)
            case .failed(let failure): (text(failure), failure.observations)
            }
        let blamed = observations.misbehaving.map { "\(name($0.server)) \(letters($0.what.description))" }
        return what + blamed.map { "; \($0)" }.joined()
    }

    private static func rounds(_ count: Int) -> String { "\(count) round" + (count == 1 ? "" : "s") }

    private static func found(_ found: ReadOutcome.Found, _ bytes: [UInt8]?) -> String {
        switch found {
        case .nothing(nil): "reads: there is nothing"
        case .nothing(let timestamp?): "reads: deleted by \(name(timestamp))"
        case .version(let timestamp, _, _): "reads \(quoted(bytes)), \(name(timestamp))"
        }
    }

    private static func text(_ failure: OperationFailure) -> String {
        switch failure {
        case .unavailable(let phase, let answered, let need, _):
            "gives up while \(phase): answered \(names(answered)), needed \(need)"
        case .refused(let phase, _): "gives up while \(phase): refused by too many"
        case .tooFewFragments(let timestamp, let have, let need, _):
            "gives up: good fragments of \(name(timestamp)): \(have), needed \(need)"
        case .timestampExhausted: "gives up: the counter is at its end"
        }
    }
}
