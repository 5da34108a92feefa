// From a policy's name to the policy.

extension ClientFaultKind {
    /// A new Byzantine client of this kind.
    package func make() -> any ClientFault { CampaigningClient(self) }

    /// What it does in a campaign. A mixture draws another kind for each of its campaigns; until then it is anything.
    func script() -> any AttackScript {
        switch self {
        case .inconsistentFragments: InconsistentFragments()
        case .poisonedCrossChecksums: PoisonedCrossChecksums()
        case .arbitraryFingerprints: ArbitraryFingerprints()
        case .splitDescriptors: SplitDescriptors()
        case .partialPrepare: PartialPrepare()
        case .partialCommit: PartialCommit()
        case .skippedCounters: SkippedCounters()
        case .reusedCounters: ReusedCounters()
        case .foreignIdentity: ForeignIdentity()
        case .replays, .mixture: Replays()
        case .pendingAbuse: PendingAbuse()
        case .hiddenCertificates: HiddenCertificates()
        case .hiddenChain: HiddenChain()
        case .forgedCertificates: ForgedCertificates()
        case .resurrection: Resurrection()
        case .falseDescriptions: FalseDescriptions()
        case .malformedRequests: MalformedRequests()
        case .flood: Flood()
        case .earlierLife: EarlierLife()
        case .foreignPositions: ForeignPositions()
        case .foreignGroups: ForeignGroups()
        case .foreignEpochs: ForeignEpochs()
        case .strangers: Strangers()
        case .otherStripes: OtherStripes()
        }
    }
}
