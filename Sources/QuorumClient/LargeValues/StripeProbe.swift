// Which stripes of a large value one server has: it is asked for each, one after the other, and each is checked.

import Fingerprint
import QuorumProtocol

/// Where the questions to one server stand.
struct StripeProbe: Sendable {
    private let read: Read
    private let position: Position
    private let parameters: ClusterParameters
    private var staged: StagedContents?
    private var knowsCommit = false
    private var part = 0
    private var stripe: UInt32 = 0
    private var page: StripePage?
    private var good: UInt64 = 0
    private var missing: UInt64 = 0

    /// - Parameter read: the question that comes first.
    init(_ read: Read, at position: Position, parameters: ClusterParameters) {
        self.read = read
        self.position = position
        self.parameters = parameters
    }

    enum Step {
        case ask(Request)
        case finish(Holding)
        /// It is no answer; why, for people.
        case giveUp(String)
    }

    mutating func take(_ reply: Reply) -> Step {
        switch reply {
        case .version(let claim, let parts) where staged == nil:
            let holding = Holding(of: read, at: position, claim, parts)
            guard case .good(let knowsCommit) = holding, let found = parts?.descriptor.descriptor.staged else {
                return .finish(holding)
            }
            self.knowsCommit = knowsCommit
            staged = found
            return .ask(question(found))
        case .fetched(let fetched):
            guard let staged else { return .giveUp("it sent something else than was asked") }
            if let wrong = judge(fetched, staged) { return .finish(.wrong(wrong)) }
            return next(staged)
        case .refused(let refusal): return .giveUp("it refused: \(refusal)")
        default: return .giveUp("it sent something else than was asked")
        }
    }

    private func question(_ staged: StagedContents) -> Request {
        let part = staged.parts[part]
        var range: Fetch.PageRange?
        if part.named.isEmpty, stripe % StripePage.stripesMax == 0 {
            let (first, count) = part.page(of: stripe)
            range = Fetch.PageRange(first: first, count: UInt16(count))
        }
        return .fetch(Fetch(key: read.key, attempt: part.attempt, stripe: stripe, page: range, pin: read.version))
    }

    /// What is wrong with what was sent; nil if it is good, or nothing.
    private mutating func judge(_ fetched: FetchedParts, _ staged: StagedContents) -> String? {
        let part = staged.parts[part]
        let (first, _) = part.page(of: stripe)
        if part.named.isEmpty, stripe == first {
            page = nil
            if let bytes = fetched.page {
                guard Digest256.sha256(bytes) == part.pages[Int(first / StripePage.stripesMax)] else {
                    return "it has other stripes than the version's, from stripe \(first) on"
                }
                page = try? StripePage(decoding: bytes, first: first, parameters: parameters)
            }
        }
        let name = part.named.isEmpty ? page?.stripes[Int(stripe - first)] : part.named[Int(stripe)]
        guard let bytes = fetched.fragment, let name else {
            missing += 1
            return nil
        }
        do {
            _ = try name.verify(bytes, at: position.fragmentIndex)
            good += 1
            return nil
        } catch {
            return "stripe \(stripe): \(error)"
        }
    }

    private mutating func next(_ staged: StagedContents) -> Step {
        stripe += 1
        if stripe == staged.parts[part].stripeCount {
            stripe = 0
            part += 1
            page = nil
        }
        if part < staged.parts.count { return .ask(question(staged)) }
        if missing == 0 { return .finish(.good(knowsCommit: knowsCommit)) }
        return .finish(good == 0 ? .noFragments : .someStripes(good: good, missing: missing))
    }
}
