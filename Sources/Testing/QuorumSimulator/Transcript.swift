// What happened, for people.

import QuorumProtocol

/// The lines of a run's story, each with its virtual time.
struct Transcript {
    private(set) var lines: [String] = []

    mutating func note(_ microseconds: UInt64, _ text: String) {
        let milliseconds = microseconds / 1000
        let rest = String(microseconds % 1000)
        let time = "\(milliseconds)." + String(repeating: "0", count: 3 - rest.count) + rest
        lines.append(String(repeating: " ", count: max(0, 12 - time.count)) + time + "  " + text)
    }

    static func describe(_ request: Request) -> String {
        switch request {
        case .readTimestamp(let key):
            return "READ-TIMESTAMP \(key)"
        case .prepare(let prepare):
            let justification = prepare.justification.map { ", justified by \($0.timestamp)" } ?? ""
            let admission = prepare.admission.isEmpty ? "" : ", with \(prepare.admission.count) admission statements"
            return "PREPARE \(prepare.key) \(prepare.timestamp) at \(prepare.position)\(justification)\(admission)"
        case .commit(let commit):
            return "COMMIT \(commit.key) \(commit.certificate.timestamp), signed by "
                + signers(commit.certificate)
        case .certificate(let key, let timestamp):
            return "FETCH-CERTIFICATE \(key) \(timestamp)"
        case .describe(let describe):
            return "DESCRIPTOR \(describe.key) \(describe.timestamp)"
        case .stage(let stage):
            return "STAGE \(stage.key), stripe \(stage.stripe) of \(stage.attempt) at \(stage.position)"
        case .discard(let discard):
            return "DISCARD \(discard.key), upload \(discard.upload) of \(discard.stager)"
        case .listHeld(let list):
            return "LIST-HELD \(list.key), \(list.kind)"
        case .restate(let restate):
            return "RESTATE \(restate.key) \(restate.certificate.timestamp), signed by "
                + signers(restate.certificate) + ", with \(restate.statements.count) statements"
        case .fetch(let fetch):
            let stripe = fetch.stripe.map { ", stripe \($0)" } ?? ""
            let page = fetch.page.map { ", page of \($0.count) from \($0.first)" } ?? ""
            return "FETCH \(fetch.key), \(fetch.attempt)\(stripe)\(page)"
        case .read(let read):
            let version = read.version.map { " at \($0)" } ?? ""
            return "READ \(read.key)\(version), \(read.portion)"
        }
    }

    static func describe(_ reply: Reply) -> String {
        switch reply {
        case .timestamp(let claim):
            return "committed is \(describe(claim))"
        case .prepared(let statement, let committed):
            let known = committed.map { "\($0)" } ?? "nothing"
            return "signed \(statement.claim) as \(statement.node), committed is \(known)"
        case .committed(let timestamp, let needsDescriptor):
            return "committed \(timestamp)" + (needsDescriptor ? ", needs its descriptor" : "")
        case .certificate(let claim, let certificate):
            let proof = certificate.map { "\($0.timestamp) (signed by \(signers($0)))" } ?? "nothing"
            return "committed is \(describe(claim)), shows \(proof)"
        case .version(let claim, let parts):
            guard let parts else { return "committed is \(describe(claim)), no parts" }
            let fragments = parts.fragments.map { "\($0.count) fragments" } ?? "no fragments"
            return "committed is \(describe(claim)), of \(parts.timestamp) the descriptor and \(fragments)"
        case .staged:
            return "staged"
        case .discarded:
            return "discarded"
        case .held(let list):
            return "holds \(list)"
        case .fetched(let parts):
            return "fetched \(parts.fragment == nil ? "no fragment" : "a fragment"), "
                + (parts.page == nil ? "no page" : "a page")
        case .refused(let refusal):
            return "refused: \(refusal)"
        }
    }

    private static func describe(_ claim: CommittedClaim) -> String {
        claim.versions.isEmpty ? "nothing" : claim.versions.map { "\($0.timestamp)" }.joined(separator: ", ")
    }

    private static func signers(_ certificate: Certificate) -> String {
        certificate.statements.map { "\($0.node.rawValue)\($0.claim == .stored ? "" : "s")" }.joined(separator: " ")
    }
}
