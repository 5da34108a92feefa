// One part of a large value, or all of it, on its way to the servers (docs/protocol.md, Large values): a window of
// stripes, servers that fall behind and are filled from what the others have, and in the end PREPARE by reference.

import ErasureCode
import NIOCore
import QuorumOperations
import QuorumProtocol
import Synchronization

/// Stages stripes and writes the version that they make.
final class ValueUpload: Sendable {
    private static let fillPause = Duration.milliseconds(200)
    /// How long servers that can be reached are waited for while none of them is filled any further, before the version
    /// is prepared without them; and how long at most, unless the upload itself has taken longer.
    private static let fillPatience = Duration.seconds(3)
    private static let fillTimeMax = Duration.seconds(30)

    private let client: ObjectClient
    private let key: ObjectKey
    private let tally: Mutex<UploadTally>
    private let began = ContinuousClock.now

    init(_ attempt: AttemptName, stripeSizeBytes: UInt32, of key: ObjectKey, client: ObjectClient) {
        self.client = client
        self.key = key
        tally = Mutex(
            UploadTally(attempt: attempt, stripeSizeBytes: stripeSizeBytes, parameters: client.parameters))
    }

    private var parameters: ClusterParameters { client.parameters }

    /// Stores all blocks of a source as the object's new version. On failure what was staged is given back, unless it is
    /// kept or the version may yet take effect.
    ///
    /// - Parameters:
    ///   - lengthBytes: what the source has, if that is known.
    ///   - isKept: whether what is staged stays when this fails, for a later run to go on with.
    ///   - progress: told how many bytes are safe.
    ///   - seal: may change the metadata once all bytes are there, or refuse to go on.
    func run<Iterator: AsyncIteratorProtocol>(
        _ source: inout BlockSource<Iterator>, lengthBytes: UInt64?, isKept: Bool,
        metadata: ObjectMetadata, progress: (@Sendable (UInt64) -> Void)?,
        seal: (@Sendable (inout ObjectMetadata) async throws -> Void)?
    ) async throws -> PutResult where Iterator.Element == SharedBytes {
        do {
            let part = try await stage(&source, lengthBytes: lengthBytes, goesOn: isKept, progress: progress)
            var metadata = metadata
            if let seal {
                try await seal(&metadata)
                metadata = try client.validated(metadata, of: key)
            }
            return try await client.write(
                key, .staged(StagedContents(parts: [part]), metadata, salt: .random()))
        } catch {
            let mayTakeEffect = (error as? ClientError)?.mayHaveTakenEffect ?? false
            if !mayTakeEffect, !isKept {
                let attempt = tally.withLock { $0.attempt }
                await client.discardInTime(Discard(key: key, stager: attempt.stager, upload: attempt.upload))
            }
            throw error
        }
    }

    // MARK: Staging

    /// Stages all blocks of a source.
    ///
    /// - Parameters: as `run`.
    ///   - goesOn: whether some of it may be staged already.
    func stage<Iterator: AsyncIteratorProtocol>(
        _ source: inout BlockSource<Iterator>, lengthBytes: UInt64?, goesOn: Bool,
        progress: (@Sendable (UInt64) -> Void)?
    ) async throws -> StagedPart where Iterator.Element == SharedBytes {
        let filling = Task { await self.fill() }
        defer { filling.cancel() }
        let (attempt, size) = tally.withLock { ($0.attempt, $0.stripeSizeBytes) }
        let before =
            goesOn ? try await StagedBefore.find(attempt, stripeSizeBytes: size, of: key, client: client) : nil
        try await stageAll(&source, before, lengthBytes: lengthBytes, progress: progress)
        await waitForFilling()
        return tally.withLock { $0.part() }
    }

    private func stageAll<Iterator: AsyncIteratorProtocol>(
        _ source: inout BlockSource<Iterator>, _ before: StagedBefore?, lengthBytes: UInt64?,
        progress: (@Sendable (UInt64) -> Void)?
    ) async throws where Iterator.Element == SharedBytes {
        let size = Int(tally.withLock { $0.stripeSizeBytes })
        var read: UInt64 = 0
        try await withThrowingTaskGroup(of: Int.self) { stripes in
            var stripe: UInt32 = 0
            var safe: UInt64 = 0
            var underWay = 0
            while true {
                let block = try await source.next(sizeBytes: size)
                guard block.count > 0 else { break }
                read += UInt64(block.count)
                if let lengthBytes, read > lengthBytes { break }
                guard read <= StagedLimits.valueSizeBytesMax, stripe < largestStripeCount else {
                    throw ClientError.valueTooLarge(
                        key, sizeBytes: Int(clamping: read),
                        limitBytes: Int(clamping: UInt64(largestStripeCount) * UInt64(size)))
                }
                if underWay == client.stripesInFlight, let sizeBytes = try await stripes.next() {
                    underWay -= 1
                    safe += UInt64(sizeBytes)
                    progress?(safe)
                }
                let number = stripe
                stripes.addTask {
                    try await self.client.uploadMemory.with(self.fragmentBytes(of: block)) {
                        try await self.stage(block, as: number, before)
                    }
                }
                underWay += 1
                stripe += 1
            }
            while let sizeBytes = try await stripes.next() {
                safe += UInt64(sizeBytes)
                progress?(safe)
            }
        }
        if let lengthBytes, read != lengthBytes {
            throw ClientError.wrongLength(key, got: read, expected: lengthBytes)
        }
    }

    /// What the descriptor has room for.
    private var largestStripeCount: UInt32 { ObjectClient.stripesMax(parameters) }

    /// What the fragments of a block take in memory.
    private func fragmentBytes(of block: SharedBytes) -> Int {
        let quorums = parameters.quorums
        return block.count / quorums.dataFragmentCount * quorums.serverCount
    }

    private func stage(_ block: SharedBytes, as number: UInt32, _ before: StagedBefore?) async throws -> Int {
        let (attempt, size) = tally.withLock { ($0.attempt, $0.stripeSizeBytes) }
        let parameters = parameters
        let stripe = try await client.work {
            StripeToStage(
                block: block, attempt: attempt, stripeSizeBytes: size, stripe: number, parameters: parameters)
        }
        var staged = await before?.servers(having: stripe.crossChecksum, as: number) ?? []
        var targets = tally.withLock { $0.targets }.subtracting(staged)
        // Who cannot be reached now is behind at once, as long as that many may be.
        let unreachable = targets.filter { client.isUnreachable($0, of: key) }
        if unreachable.count + tally.withLock({ $0.behind.subtracting(staged).count }) <= parameters.quorums.faults {
            targets = targets.subtracting(PositionSet(unreachable))
        }
        var need = max(0, parameters.quorums.quorum - staged.count)
        while true {
            try Task.checkCancellation()
            if !targets.isEmpty {
                let outcome = try await client.stage(stripe, of: key, at: targets, need: need)
                for server in outcome.staged { staged.insert(server) }
            }
            let still = tally.withLock { $0.add(number, stripe.crossChecksum, stagedAt: staged) }
            guard !still.isEmpty else { return block.count }
            targets = still
            need = still.count
        }
    }

    // MARK: Filling

    /// Fills servers that lack stripes, as soon as they can be reached, until the task is cancelled.
    private func fill() async {
        while !Task.isCancelled {
            let waiting = tally.withLock { tally in
                tally.missing.map { (server: $0.key, stripes: $0.value.sorted()) }.sorted { $0.server < $1.server }
            }
            var hasFilled = false
            for (server, stripes) in waiting where client.isConnected(to: server, of: key) {
                for stripe in stripes where !Task.isCancelled {
                    guard await fill(stripe, at: server) else { break }
                    hasFilled = true
                }
            }
            if !hasFilled { try? await Task.sleep(for: Self.fillPause) }
        }
    }

    /// Makes the server's fragment of a stripe from m others'. Whether it has it now.
    private func fill(_ stripe: UInt32, at server: Position) async -> Bool {
        let (name, part) = tally.withLock { ($0.name(of: stripe), $0.partSoFar) }
        guard let name else { return false }
        do {
            let wanted = StripeToFetch(part: part, stripe: stripe, name: name)
            let fetched = try await client.fetch(wanted, of: key, at: nil)
            let parameters = parameters
            let whole = try await client.work {
                StripeToStage(
                    block: fetched.block, attempt: part.attempt, stripeSizeBytes: part.stripeSizeBytes, stripe: stripe,
                    parameters: parameters)
            }
            let outcome = try await client.stage(whole, of: key, at: [server], need: 1)
            guard outcome.staged.contains(server) else { return false }
            tally.withLock { $0.filled(stripe, at: server) }
            return true
        } catch {
            return false
        }
    }

    private func waitForFilling() async {
        let end = ContinuousClock.now + max(Self.fillTimeMax, ContinuousClock.now - began)
        var stall = ContinuousClock.now + Self.fillPatience
        var least = Int.max
        while ContinuousClock.now < min(end, stall), !Task.isCancelled {
            let (behind, missingCount) = tally.withLock { ($0.behind, $0.missing.values.reduce(0) { $0 + $1.count }) }
            guard behind.contains(where: { client.isConnected(to: $0, of: key) }) else { return }
            if missingCount < least {
                least = missingCount
                stall = ContinuousClock.now + Self.fillPatience
            }
            try? await Task.sleep(for: .milliseconds(20))
        }
    }
}
