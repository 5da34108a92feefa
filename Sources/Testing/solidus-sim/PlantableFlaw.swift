// The deliberate bugs of all parts, under one roof: each has its own switch, and one at most is planted.

#if PlantedFlaws
    import ObjectStorage
    import ProtocolStorage
    import QuorumProtocol

    /// A rule that can be left out on purpose.
    enum PlantableFlaw: Equatable {
        case ofProtocol(Flaw)
        case translation(TranslationFlaw)
        case store(StorageFlaw)

        /// Those of the store that worlds with real stores have to see, too: what they lose, servers have promised.
        static let ofStoreInWorlds: [StorageFlaw] = [.syncOmitted, .replayEndsEarly]

        /// Those that no world shows, since none of its readers is slow enough; tests of the replica do.
        static let unseenInWorlds = [Flaw.pinsForgotten.rawValue]

        static let all =
            Flaw.allCases.map(PlantableFlaw.ofProtocol) + TranslationFlaw.allCases.map(PlantableFlaw.translation)
            + StorageFlaw.allCases.map(PlantableFlaw.store)

        static var names: String { all.map(\.rawValue).joined(separator: ", ") }

        init?(rawValue: String) {
            guard let known = Self.all.first(where: { $0.rawValue == rawValue }) else { return nil }
            self = known
        }

        var rawValue: String {
            switch self {
            case .ofProtocol(let flaw): flaw.rawValue
            case .translation(let flaw): flaw.rawValue
            case .store(let flaw): flaw.rawValue
            }
        }

        /// The mode in which the rule matters.
        var mode: VerificationMode {
            if case .ofProtocol(let flaw) = self { flaw.mode } else { .fingerprint }
        }

        /// Whether only worlds with real stores come by the rule.
        var needsStores: Bool {
            if case .ofProtocol = self { false } else { true }
        }

        func plant() {
            Self.uproot()
            switch self {
            case .ofProtocol(let flaw): Flaw.planted = flaw
            case .translation(let flaw): TranslationFlaw.planted = flaw
            case .store(let flaw): StorageFlaw.planted = flaw
            }
        }

        static func uproot() {
            Flaw.planted = nil
            TranslationFlaw.planted = nil
            StorageFlaw.planted = nil
        }
    }
#endif
