// Deliberate bugs, to prove that the simulator would see the real ones. They exist only in builds with the trait
// PlantedFlaws, which nothing but the simulator is built with; everywhere else `isPlanted` is the constant false and
// the flawed branch is compiled away.

/// A rule of the protocol (docs/protocol.md) that can be left out on purpose.
package enum Flaw: String, Sendable, CaseIterable {
    // Thresholds
    /// A quorum is one server smaller, so that two of them may meet in liars only.
    case quorumOneTooSmall
    /// f servers' word on a committed version is enough.
    case vouchersOneTooFew

    // Certificates
    /// A certificate's signatures are not checked.
    case certificateUnchecked
    /// One server's statement may stand in a certificate more than once.
    case repeatedSignersAccepted
    /// A statement does not name the mode in which it was signed.
    case statementWithoutMode
    /// A statement does not name its group, so that it counts in every group that its server is in.
    case statementWithoutGroup
    /// A certificate may be of any group of its epoch.
    case foreignGroupAccepted
    /// A certificate of an epoch that is not known is judged by the newest.
    case epochUnchecked
    /// A certificate may have as many statements as it takes in any epoch that is known.
    case earlierQuorumAccepted
    /// A server's statement counts whether or not it is a member of the object's group.
    case strangersCounted
    /// A statement does not name its object.
    case statementWithoutKey
    /// A statement does not name the digest of what it is on.
    case statementWithoutDigest
    /// A remembered root is valid under whatever signature it comes with.
    case rememberedRootUnderAnySignature

    // Server: every request
    /// A server answers for objects of another group than the request's.
    case foreignGroupServed

    // Server: PREPARE
    /// The writer named in a timestamp need not be the sender.
    case foreignTimestampAccepted
    /// The descriptor need not be the one that the timestamp names.
    case digestUnchecked
    /// The position that PREPARE names need not be the server's own.
    case positionUnchecked
    /// Fragments are stored without any verification.
    case fragmentUnverified
    /// Fragments are checked by hash only.
    case fingerprintUnchecked
    /// A fragment may be any of the stripe's.
    case fragmentIndexUnbound
    /// A counter may be any number above the committed one.
    case counterUnchecked
    /// A justification is believed but not processed as the COMMIT that it is.
    case justificationNotCommitted
    /// The pending limit is not enforced.
    case pendingUnlimited
    /// A full server admits any version that comes with something that looks like an admission.
    case admissionUnverified
    /// A pending version above it, which may never be committed, supersedes a version.
    case supersededByPending
    /// PREPARE replaces the client's older pending versions, for which a certificate may exist.
    case pendingReplaced

    // Server: large values
    /// A stripe that a version holds may be staged anew with other contents.
    case heldStripesReplaced
    /// A version is stored although stripes of it are not staged.
    case stripesUnlooked
    /// A version is stored although other stripes are staged under the names that it names.
    case otherStripesCounted
    /// An attempt goes with the first of the versions that hold it.
    case sharedStripesGivenBack
    /// An attempt goes with its last version although its stager may yet need it.
    case unspentStripesGivenBack
    /// DISCARD takes stripes that a version holds.
    case discardTakesHeld
    /// Stripes that a version holds expire.
    case heldStripesExpire
    /// A version that is being read goes as any other.
    case pinsForgotten

    // Server: COMMIT, DESCRIPTOR and retention
    /// A descriptor is kept of a version that is not committed.
    case uncommittedDescribed
    /// A descriptor need not be the one that the timestamp names.
    case descriptionUnchecked
    /// A lower certified version replaces a higher one.
    case commitGoesBack
    /// A commit drops pending versions above it, for which a certificate may exist.
    case commitDropsPending
    /// Fragments of superseded versions, and of the current one with them, are dropped after the grace time.
    case currentVersionExpires
    /// Retained versions are not bounded.
    case retentionUnbounded
    /// COMMIT is acknowledged before it is durable.
    case replyBeforeDurable
    /// Reads are answered from a record that is not durable yet.
    case readBeforeDurable

    // Modes that verify later
    /// The mode `full` stores what it is sent as a block's encoding without encoding it.
    case encodingUnchecked
    /// A committed version counts as sound before anybody has verified it.
    case unverifiedSettled
    /// Fragments of a poisonous version are dropped before others can be shown that it is.
    case poisonDroppedUnproven
    /// Versions that wait to be verified are not bounded.
    case unverifiedUnlimited
    /// The certificate of a version goes when it turns out to be poisonous, though others may need it.
    case condemnedForgotten
    /// A server that could not verify an object once does not try again by itself.
    case verificationNotRetried
    /// A server that crashed before it had signed that a version is poisonous does not sign any more.
    case poisonSignedOnce
    /// A server that finds a version poisonous does not look for the statements of others by itself.
    case poisonLeftUnproven
    /// A server takes others' statements only when f + 1 servers show some before the hedge time is over.
    case proofFromManyOnly
    /// A reader returns what m matching fragments decode to, unverified.
    case readEncodingUnchecked
    /// A reader believes one server that a version is sound.
    case oneVoucherVerified
    /// A reader believes one server that a version is poisonous.
    case onePoisonStatement
    /// Statements that a version is poisonous are not verified.
    case poisonStatementsUnverified
    /// A reader that finds a version poisonous says that there is nothing.
    case poisonReadAsNothing

    // Writer and reader
    /// The highest claim is valid whether or not it is proven.
    case anyClaimBelieved
    /// Who names something above the highest valid version is never asked to prove it.
    case doubtedNeverAsked
    /// Of those that name a version one is asked for its certificate, always the same.
    case oneProofAsked
    /// A server that names something above the highest valid version counts towards the quorum that vouches for it.
    case unprovenCounted

    // Writer
    /// The timestamp is read from too few servers.
    case timestampFromTooFew
    /// Statements go into the certificate unverified.
    case statementsUnverified
    /// A write is complete when one server has acknowledged its COMMIT.
    case oneAcknowledgement
    /// The acknowledgement of whatever COMMIT counts.
    case anyAcknowledgementCounts

    /// A partial write sends no fragments to its spares, whatever the other servers do.
    case sparesNeverDrawnIn
    /// What a client's full servers have not seen committed is not brought to them.
    case fullServersUntold
    /// A writer that full servers keep back does not wait for what a single one may have seen committed.
    case doubtHasty
    /// A write that begins anew asks each server for its timestamp once, whether or not it was reached.
    case beginsAnewUnreminded
    /// Who finishes a version that rests on a poisonous one does not look for that one's certificate.
    case poisonUnasked
    /// Who prepares a large version brings no server the stripes that it lacks.
    case stripesUnfilled
    /// A write that began with a remembered certificate does not look at what the servers have committed since.
    case rememberedUndoubted

    // Repair
    /// What is lost is not wanted back.
    case lossForgotten
    /// What no position can have is tried again and again.
    case voidWanted
    /// What was found is stored although another version is wanted by now.
    case unwantedRepaired
    /// A large version counts as held though nobody has looked at what is staged.
    case adoptedUnlooked
    /// A large version counts as held when one of its stripes is there again.
    case firstStripeRepaired
    /// What a server makes of others' fragments need not match its own hash.
    case repairUnverified

    // Anti-entropy
    /// A slot's digest does not tell one version of an object from another.
    case digestWithoutVersions

    // Reader
    /// A read is over as soon as f + 1 servers have answered and there are m good fragments.
    case readWithoutQuorum
    /// A read that lacks parts of a version does not ask who names a higher one for its proof.
    case higherClaimsIgnored
    /// What fewer than q servers have committed is not written back.
    case writeBackOmitted
    /// Fragments are decoded unverified.
    case readFragmentsUnverified
    /// A descriptor need not be the one that the timestamp names.
    case readDigestUnchecked
    /// "Not found" by a tombstone is answered without writing it back.
    case tombstoneNotWrittenBack

    /// Of a large version only the first stripe is looked at.
    case firstStripeChecked

    // Listing
    /// What 2f servers name alike is settled.
    case settledByTooFew
    /// 2f answers suffice to say what is not there.
    case listedByTooFew
    /// One server's word on a version's length, ETag and time is enough.
    case listedHeadUnvouched
    /// A page goes as far as the furthest answer, whatever the others cover.
    case furthestAnswerCovers
    /// A version counts as sound though hardly anybody knows it to be.
    case unsoundListed
    /// A key that is open is shown as the highest that anybody names.
    case openBelieved
    /// A key that is open is not shown.
    case openLeftOut
    /// A prefix is there as soon as anybody names a key below it.
    case witnessBelieved
    /// A prefix is not there when the keys are gone that were named below it.
    case goneWitnessEnough
    /// The next page begins where answers ended, be it below a prefix that was shown.
    case prefixShownAgain

    // Rebuilding
    /// Statements of earlier lives count.
    case earlierLivesCounted
    /// Clients take a certificate with a statement of an earlier life for proof.
    case fencedBelieved
    /// Servers commit by such a certificate.
    case fencedCommitted
    /// What a server has answered in an earlier life counts for an operation that goes on.
    case earlierAnswersCounted
    /// RESTATE is signed by servers that have not the version.
    case restatedUnheld
    /// A server says that it goes by a list before all is durable that it has decided by an earlier one.
    case promisedAtOnce
    /// A server that was rebuilt counts as well although others have committed what it has not.
    case wellWhileOpen
    /// A server does not verify what it has committed by a certificate that counts no more.
    case ownCertificateMustCount
    /// A writer keeps a certificate that counts no more from those who ask for proof.
    case fencedNotShown

    // Audit
    /// Where too few fingerprints agree, all are wrong.
    case auditBlamesUnproven
    /// One server's word on a version is enough for an audit to look for it everywhere.
    case auditedOnOneWord
    /// An audit goes as far as the furthest answer.
    case auditEndsFurthest
}

extension Flaw {
    /// The mode in which the rule matters.
    package var mode: VerificationMode {
        switch self {
        case .encodingUnchecked, .statementWithoutMode: .full
        case .readEncodingUnchecked, .firstStripeChecked, .fencedNotShown: .readTime
        case .unverifiedSettled, .poisonDroppedUnproven, .unverifiedUnlimited, .verificationNotRetried,
            .poisonSignedOnce, .poisonLeftUnproven, .condemnedForgotten, .proofFromManyOnly, .oneVoucherVerified,
            .onePoisonStatement, .poisonUnasked,
            .poisonStatementsUnverified, .poisonReadAsNothing, .unsoundListed, .ownCertificateMustCount:
            .lazy
        default: .fingerprint
        }
    }
}

/// Whether the flaw is planted in this run.
@inline(__always)
func isPlanted(_ flaw: Flaw) -> Bool {
    #if PlantedFlaws
        Flaw.planted == flaw
    #else
        false
    #endif
}

#if PlantedFlaws
    extension Flaw {
        /// The one flaw of this run; set before the machines run, and not while they do.
        nonisolated(unsafe) package static var planted: Flaw?
    }
#endif
