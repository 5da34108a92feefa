// A large value on its way from the servers, stripe by stripe in order and a window ahead, in constant memory
// (docs/protocol.md, Large values). Each piece is verified before it is handed on.

import ErasureCode
import NIOCore
import QuorumOperations
import QuorumProtocol
import Synchronization

/// The pieces of a range of a large value. For one consumer at a time.
final class PieceReader: Sendable {
    private static let pinInterval = Duration.seconds(20)

    private struct Piece {
        let part: Int
        let stripe: UInt32
        /// What of the stripe's block is wanted.
        let range: Range<Int>
    }

    private struct State {
        /// Where the next piece to be begun lies in the value.
        var next: UInt64
        var underWay: [Task<SharedBytes, any Error>] = []
        var pinning: Task<Void, Never>?
    }

    private let staged: StagedContents
    private let key: ObjectKey
    private let timestamp: Timestamp
    private let isCurrent: Bool
    private let range: Range<UInt64>
    private let client: ObjectClient
    private let pages = PageCache()
    private let state: Mutex<State>

    /// - Parameters:
    ///   - isCurrent: whether this is the version that the object had, and not one that was asked for.
    ///   - range: bytes of the value, within its length.
    init(
        _ staged: StagedContents, key: ObjectKey, timestamp: Timestamp, isCurrent: Bool, range: Range<UInt64>,
        client: ObjectClient
    ) {
        self.staged = staged
        self.key = key
        self.timestamp = timestamp
        self.isCurrent = isCurrent
        self.range = range
        self.client = client
        state = Mutex(State(next: range.lowerBound))
    }

    deinit { cancel() }

    /// Ends what is under way.
    func cancel() {
        let state = state.withLock { state in
            defer {
                state.underWay = []
                state.pinning = nil
                state.next = range.upperBound
            }
            return state
        }
        for task in state.underWay { task.cancel() }
        state.pinning?.cancel()
    }

    /// The next piece in order; nil at the range's end.
    func next() async throws(ClientError) -> SharedBytes? {
        begin()
        guard let first = state.withLock({ $0.underWay.first }) else {
            cancel()
            return nil
        }
        let result = await withTaskCancellationHandler {
            await first.result
        } onCancel: {
            first.cancel()
        }
        do {
            let piece = try result.get()
            state.withLock { if !$0.underWay.isEmpty { $0.underWay.removeFirst() } }
            begin()
            return piece
        } catch {
            cancel()
            if case ClientError.unavailable(_, .tooFewFragments, _) = error {
                guard isCurrent else { throw .noVersion(key, timestamp) }
                if await client.hasHigher(than: timestamp, of: key) { throw .overwritten(key, timestamp) }
            }
            throw client.told(error, of: key) as? ClientError ?? .closed
        }
    }

    /// All that is left.
    func rest() async throws(ClientError) -> [SharedBytes] {
        var pieces: [SharedBytes] = []
        while let piece = try await next() { pieces.append(piece) }
        return pieces
    }

    /// Begins as many pieces as may be under way.
    private func begin() {
        state.withLock { state in
            while state.underWay.count < client.stripesInFlight, state.next < range.upperBound {
                let piece = piece(at: state.next)
                state.next += UInt64(piece.range.count)
                state.underWay.append(
                    Task { [client, key, staged, timestamp, pages] in
                        try await Self.fetch(piece, of: staged, key, timestamp, client, pages)
                    })
            }
            // A short read is over before a version can go.
            if state.pinning == nil, !state.underWay.isEmpty, state.next < range.upperBound {
                let pin = Fetch(key: key, attempt: staged.parts[0].attempt, pin: timestamp)
                state.pinning = Task { [client] in
                    while !Task.isCancelled {
                        await client.announce(.fetch(pin))
                        try? await Task.sleep(for: Self.pinInterval)
                    }
                }
            }
        }
    }

    private func piece(at offset: UInt64) -> Piece {
        let (part, stripe, within) = staged.place(of: offset)
        let size = staged.parts[part].blockSizeBytes(of: stripe)
        let count = Int(min(UInt64(size - within), range.upperBound - offset))
        return Piece(part: part, stripe: stripe, range: within..<(within + count))
    }

    private static func fetch(
        _ piece: Piece, of staged: StagedContents, _ key: ObjectKey, _ timestamp: Timestamp, _ client: ObjectClient,
        _ pages: PageCache
    ) async throws -> SharedBytes {
        let part = staged.parts[piece.part]
        let (first, _) = part.page(of: piece.stripe)
        let name = PageCache.Name(part: piece.part, first: first)
        var wanted = StripeToFetch(part: part, stripe: piece.stripe)
        var brings = false
        if case .page = wanted.name {
            if let page = await pages.page(name) {
                wanted = StripeToFetch(
                    part: part, stripe: piece.stripe, name: .known(page.stripes[Int(piece.stripe - first)]))
            } else {
                brings = true
            }
        }
        do {
            let fetched = try await client.fetch(wanted, of: key, at: timestamp)
            if brings { await pages.bring(fetched.page, as: name) }
            return piece.range.count == fetched.block.count ? fetched.block : fetched.block[piece.range]
        } catch {
            if brings { await pages.bring(nil, as: name) }
            throw error
        }
    }
}

/// Pages that pieces share: the first that needs one fetches it with its stripe, and the others wait for that.
private actor PageCache {
    struct Name: Hashable {
        let part: Int
        let first: UInt32
    }

    private enum Entry {
        case underWay([CheckedContinuation<StripePage?, Never>])
        case here(StripePage)
    }

    /// Pieces come in order, so few pages are needed at a time.
    private static let countMax = 4

    private var entries: [Name: Entry] = [:]
    private var order: [Name] = []

    /// The page; nil for whoever is to bring it.
    func page(_ name: Name) async -> StripePage? {
        switch entries[name] {
        case .here(let page): return page
        case nil:
            entries[name] = .underWay([])
            return nil
        case .underWay:
            let brought = await withCheckedContinuation { (continuation: CheckedContinuation<StripePage?, Never>) in
                guard case .underWay(let waiting) = entries[name] else { return continuation.resume(returning: nil) }
                entries[name] = .underWay(waiting + [continuation])
            }
            if let brought { return brought }
            // Whoever was to bring it could not.
            return await page(name)
        }
    }

    func bring(_ page: StripePage?, as name: Name) {
        guard case .underWay(let waiting) = entries[name] else { return }
        entries[name] = page.map { .here($0) }
        if page != nil {
            order.append(name)
            if order.count > Self.countMax { entries[order.removeFirst()] = nil }
        }
        for continuation in waiting { continuation.resume(returning: page) }
    }
}
