// The names of all policies, for command lines, plans and transcripts.

/// Every way in which a server can be faulty.
package enum ServerFaultKind: String, CaseIterable, Sendable {
    // Saying nothing, or late.
    case silent
    case mute
    case silentToSome = "silent-to-some"
    case slow
    case commitDeaf = "commit-deaf"
    case withholding
    // Claims of what is committed.
    case stale
    case denial
    case inflatedTimestamps = "inflated-timestamps"
    case claimFlood = "claim-flood"
    case fabricatedVersions = "fabricated-versions"
    case alteredCertificates = "altered-certificates"
    case replayedCertificates = "replayed-certificates"
    case equivocation
    case secretiveCommits = "secretive-commits"
    case leakedCertificates = "leaked-certificates"
    case inventedDigests = "invented-digests"
    case withheldCertificates = "withheld-certificates"
    case swappedCertificates = "swapped-certificates"
    // Groups, epochs and positions.
    case foreignGroups = "foreign-groups"
    case foreignEpochs = "foreign-epochs"
    case strangers
    case foreignPositions = "foreign-positions"
    // Parts of versions.
    case garbageFragments = "garbage-fragments"
    case oneByteOff = "one-byte-off"
    case foreignFragments = "foreign-fragments"
    case misshapenFragments = "misshapen-fragments"
    case foreignDescriptors = "foreign-descriptors"
    case withheldFragments = "withheld-fragments"
    // Statements and acknowledgements.
    case signsWithoutStoring = "signs-without-storing"
    case forgetful
    case frozen
    case supersededLies = "superseded-lies"
    case unsoundStatements = "unsound-statements"
    case foreignStatements = "foreign-statements"
    case alarmingPrepared = "alarming-prepared"
    case falsePoison = "false-poison"
    case falseVouching = "false-vouching"
    case falseAcknowledgements = "false-acknowledgements"
    case endlessNeed = "endless-need"
    // Refusals and replies out of place.
    case falseRefusals = "false-refusals"
    case fabricatedPending = "fabricated-pending"
    case hiddenPending = "hidden-pending"
    case replayedReplies = "replayed-replies"
    case contraryReplies = "contrary-replies"
    // With others.
    case colludingGarbage = "colluding-garbage"
    case colludingForgery = "colluding-forgery"
    case agreedFabrication = "agreed-fabrication"
    // All of it.
    case mixture
}

/// Every way in which a client can be Byzantine.
package enum ClientFaultKind: String, CaseIterable, Sendable {
    case inconsistentFragments = "inconsistent-fragments"
    case poisonedCrossChecksums = "poisoned-cross-checksums"
    case arbitraryFingerprints = "arbitrary-fingerprints"
    case splitDescriptors = "split-descriptors"
    case partialPrepare = "partial-prepare"
    case partialCommit = "partial-commit"
    case skippedCounters = "skipped-counters"
    case reusedCounters = "reused-counters"
    case foreignIdentity = "foreign-identity"
    case replays
    case pendingAbuse = "pending-abuse"
    case hiddenCertificates = "hidden-certificates"
    case hiddenChain = "hidden-chain"
    case forgedCertificates = "forged-certificates"
    case resurrection
    case falseDescriptions = "false-descriptions"
    case malformedRequests = "malformed-requests"
    case flood
    case earlierLife = "earlier-life"
    case foreignPositions = "foreign-positions"
    case foreignGroups = "foreign-groups"
    case foreignEpochs = "foreign-epochs"
    case strangers
    case otherStripes = "other-stripes"
    case mixture
}
