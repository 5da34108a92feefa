// Deliberate bugs on the way from the protocol's changes to the store's, to prove that worlds with real stores see the
// real ones: nothing else that is simulated comes by here. They exist only in builds with the trait PlantedFlaws;
// everywhere else `isPlanted` is the constant false and the flawed branch is compiled away.

/// A rule of the translation that can be left out on purpose.
package enum TranslationFlaw: String, Sendable, CaseIterable {
    /// Versions that the record does not name any more stay in the store.
    case dropsForgotten
    /// The list of a slot does not name what is committed.
    case committedUnlisted
    /// What is wanted of an object is not written down.
    case wantUnlisted
    /// Two values of one counter and writer have one name in the store.
    case versionNamedByWriter
}

/// Whether the flaw is planted in this run.
@inline(__always)
func isPlanted(_ flaw: TranslationFlaw) -> Bool {
    #if PlantedFlaws
        TranslationFlaw.planted == flaw
    #else
        false
    #endif
}

#if PlantedFlaws
    extension TranslationFlaw {
        /// The one flaw of this run; set before a store runs, and not while one does.
        nonisolated(unsafe) package static var planted: TranslationFlaw?
    }
#endif
