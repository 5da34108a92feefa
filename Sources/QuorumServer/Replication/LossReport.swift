// What becomes of the news that the store cannot show what it should. When so much is lost that it is not parts which
// are bad but the machine, marking them as lost would make it worse (docs/protocol.md, Loss).

import Logging
import ProtocolStorage
import QuorumProtocol
import Synchronization

/// Counts and logs what a store cannot show, and decides what may be marked as lost.
final class LossReport: Sendable {
    /// How many parts a server marks as lost in a minute.
    static let lossesPerMinuteMax = 16
    private static let minute = Duration.seconds(60)

    private struct State {
        var began: ContinuousClock.Instant?
        var losses = 0
        /// Stripes that were told of in this minute. Every FETCH meets them anew until they are repaired.
        var stripes: Set<Stripe> = []
    }

    private struct Stripe: Hashable {
        let key: ObjectKey
        let attempt: AttemptName
        let stripe: UInt32
    }

    private static let rememberedStripesMax = 4096

    private let statistics: ServerStatistics
    private let logger: Logger
    private let state = Mutex(State())

    init(statistics: ServerStatistics, logger: Logger) {
        self.statistics = statistics
        self.logger = logger
    }

    /// Whether what cannot be shown may be marked as lost, if it is.
    func take(_ loss: StoreLoss) -> Bool {
        switch loss {
        case .record:
            statistics.count { $0.lostRecords += 1 }
            logger.error("\(loss)")
            return true
        case .listing:
            logger.error("\(loss)")
            return true
        case .unreadable:
            statistics.count { $0.unreadableParts += 1 }
            logger.warning("\(loss)")
            return false
        case .stripe(let key, let attempt, let stripe, _)
        where isKnown(Stripe(key: key, attempt: attempt, stripe: stripe)):
            return true
        case .part, .descriptor, .stripe, .foreignDescriptor, .found:
            statistics.count { $0.lostParts += 1 }
            let number = count()
            if number <= Self.lossesPerMinuteMax {
                logger.warning("\(loss)")
                if case .stripe(let key, let attempt, let stripe, _) = loss {
                    remember(Stripe(key: key, attempt: attempt, stripe: stripe))
                }
            } else if number == Self.lossesPerMinuteMax + 1 {
                logger.critical(
                    """
                    more parts are lost than disks lose: the disk, its cabling or the memory is suspect. Nothing more is \
                    marked as lost for now, and what can be read is served. Check the machine; the last one: \(loss)
                    """)
            }
            return number <= Self.lossesPerMinuteMax
        }
    }

    private func isKnown(_ stripe: Stripe) -> Bool {
        state.withLock { state in
            state.stripes.contains(stripe) && state.began.map { ContinuousClock.now - $0 < Self.minute } ?? false
        }
    }

    private func remember(_ stripe: Stripe) {
        state.withLock { if $0.stripes.count < Self.rememberedStripesMax { $0.stripes.insert(stripe) } }
    }

    /// Counts a loss; its number in this minute.
    private func count() -> Int {
        state.withLock { state in
            let now = ContinuousClock.now
            if state.began.map({ now - $0 >= Self.minute }) ?? true { state = State(began: now) }
            state.losses += 1
            return state.losses
        }
    }
}
