// Which release this is.

/// The release that this program belongs to.
public enum Release {
    /// As people and programs are told it: major, minor and patch, and what comes behind a hyphen before a release.
    public static let version = "0.2.0-dev"
}
