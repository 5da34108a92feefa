#include "patient_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include <rocksdb/env.h>

using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

namespace {

/// So much of what is set aside goes at a time.
constexpr uint64_t releaseStepBytes = 256 << 10;
/// So much of it, in eighths, is left for opening the database on a full disk.
constexpr uint64_t eighthsForOpening = 1;
constexpr auto timeBetweenTries = std::chrono::milliseconds(50);

bool isNoSpace(int code) { return code == ENOSPC || code == EDQUOT; }

/// The errno of a status that the default file system made of one: only lack of room has a name there.
int errnoOf(const IOStatus &status) {
    if (status.ok()) return 0;
    return status.IsNoSpace() ? ENOSPC : EIO;
}

}  // namespace

Patience::Patience(std::string set_aside_path, uint64_t set_aside_bytes)
    : set_aside_target_(set_aside_bytes), set_aside_path_(std::move(set_aside_path)) {
    if (set_aside_target_ == 0) return;
    set_aside_file_ = open(set_aside_path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    struct stat information;
    if (set_aside_file_ >= 0 && fstat(set_aside_file_, &information) == 0) {
        set_aside_ = static_cast<uint64_t>(information.st_size);
    }
    replenish();
}

Patience::~Patience() {
    if (set_aside_file_ >= 0) close(set_aside_file_);
}

void Patience::run(bool may_use_set_aside, const std::function<int()> &change) {
    bool counted = false;
    while (!isDead()) {
        const int code = change();
        if (code == 0) break;
        if (!isNoSpace(code)) {
            die(code);
            break;
        }
        if (may_use_set_aside && release(releaseStepBytes) > 0) continue;
        std::unique_lock<std::mutex> lock(mutex_);
        if (impatient_) {
            lock.unlock();
            die(code);
            break;
        }
        if (may_use_set_aside && !counted) {
            waiting_.fetch_add(1);
            counted = true;
        }
        changed_.wait_for(lock, timeBetweenTries);
    }
    if (counted) waiting_.fetch_sub(1);
}

void Patience::die(int code) {
    int none = 0;
    failure_.compare_exchange_strong(none, code);
    dead_.store(true, std::memory_order_release);
    changed_.notify_all();
}

void Patience::setImpatient(bool impatient) {
    std::lock_guard<std::mutex> lock(mutex_);
    impatient_ = impatient;
    changed_.notify_all();
}

uint64_t Patience::release(uint64_t bytes) {
    std::lock_guard<std::mutex> lock(mutex_);
    const uint64_t kept = impatient_ ? 0 : set_aside_target_ / 8 * eighthsForOpening;
    if (set_aside_ <= kept) return 0;
    const uint64_t step = std::min(bytes, set_aside_ - kept);
    if (ftruncate(set_aside_file_, static_cast<off_t>(set_aside_ - step)) != 0) return 0;
    set_aside_ -= step;
    return step;
}

void Patience::replenish() {
    std::lock_guard<std::mutex> lock(mutex_);
    if (set_aside_file_ < 0 || set_aside_ >= set_aside_target_ || waiting_.load() > 0) return;
    struct statvfs information;
    if (fstatvfs(set_aside_file_, &information) != 0) return;
    const uint64_t free = static_cast<uint64_t>(information.f_bavail) * information.f_frsize;
    // What is set aside must not be what fills the disk.
    if (free / 2 < set_aside_target_ - set_aside_) return;
    // A failure is no loss: it is tried again later.
    if (posix_fallocate(set_aside_file_, 0, static_cast<off_t>(set_aside_target_)) == 0) {
        set_aside_ = set_aside_target_;
    } else {
        (void)!ftruncate(set_aside_file_, static_cast<off_t>(set_aside_));
    }
}

namespace {

/// A file that is written from its beginning to its end.
class PatientWritableFile : public rocksdb::FSWritableFile {
public:
    PatientWritableFile(std::shared_ptr<Patience> patience, int file)
        : patience_(std::move(patience)), file_(file) {}

    ~PatientWritableFile() override { closeFile(); }

    IOStatus Append(const Slice &data, const IOOptions &, IODebugContext *) override {
        size_t done = 0;
        patience_->run(mayUseSetAside(), [&]() -> int {
            while (done < data.size()) {
                const ssize_t count =
                    pwrite(file_, data.data() + done, data.size() - done, static_cast<off_t>(size_ + done));
                if (count > 0) {
                    done += static_cast<size_t>(count);
                } else if (count == 0) {
                    return EIO;
                } else if (errno != EINTR) {
                    return errno;
                }
            }
            return 0;
        });
        size_ += data.size();
        return IOStatus::OK();
    }
    IOStatus Append(
        const Slice &data, const IOOptions &options, const rocksdb::DataVerificationInfo &,
        IODebugContext *context) override {
        return Append(data, options, context);
    }
    IOStatus Truncate(uint64_t size, const IOOptions &, IODebugContext *) override {
        patience_->run(mayUseSetAside(), [&]() -> int {
            return ftruncate(file_, static_cast<off_t>(size)) == 0 ? 0 : errno;
        });
        size_ = size;
        return IOStatus::OK();
    }
    IOStatus Close(const IOOptions &, IODebugContext *) override {
        closeFile();
        return IOStatus::OK();
    }
    IOStatus Flush(const IOOptions &, IODebugContext *) override { return IOStatus::OK(); }
    IOStatus Sync(const IOOptions &, IODebugContext *) override {
        patience_->run(mayUseSetAside(), [&]() -> int { return fdatasync(file_) == 0 ? 0 : errno; });
        return IOStatus::OK();
    }
    IOStatus Fsync(const IOOptions &, IODebugContext *) override {
        patience_->run(mayUseSetAside(), [&]() -> int { return fsync(file_) == 0 ? 0 : errno; });
        return IOStatus::OK();
    }
    bool IsSyncThreadSafe() const override { return true; }
    uint64_t GetFileSize(const IOOptions &, IODebugContext *) override { return size_; }

private:
    bool mayUseSetAside() { return GetIOPriority() != rocksdb::Env::IO_LOW; }

    void closeFile() {
        if (file_ >= 0) close(file_);
        file_ = -1;
    }

    const std::shared_ptr<Patience> patience_;
    int file_;
    uint64_t size_ = 0;
};

class PatientDirectory : public rocksdb::FSDirectory {
public:
    PatientDirectory(std::shared_ptr<Patience> patience, std::unique_ptr<rocksdb::FSDirectory> target)
        : patience_(std::move(patience)), target_(std::move(target)) {}

    IOStatus Fsync(const IOOptions &options, IODebugContext *context) override {
        patience_->run(true, [&]() -> int { return errnoOf(target_->Fsync(options, context)); });
        return IOStatus::OK();
    }
    IOStatus FsyncWithDirOptions(
        const IOOptions &options, IODebugContext *context, const rocksdb::DirFsyncOptions &how) override {
        patience_->run(true, [&]() -> int { return errnoOf(target_->FsyncWithDirOptions(options, context, how)); });
        return IOStatus::OK();
    }
    IOStatus Close(const IOOptions &options, IODebugContext *context) override {
        return target_->Close(options, context);
    }
    size_t GetUniqueId(char *id, size_t size_max) const override { return target_->GetUniqueId(id, size_max); }

private:
    const std::shared_ptr<Patience> patience_;
    const std::unique_ptr<rocksdb::FSDirectory> target_;
};

class SilentLogger : public rocksdb::Logger {
public:
    using rocksdb::Logger::Logv;
    void Logv(const char *, va_list) override {}
};

class PatientFileSystem : public rocksdb::FileSystemWrapper {
public:
    PatientFileSystem(std::shared_ptr<rocksdb::FileSystem> target, std::shared_ptr<Patience> patience)
        : FileSystemWrapper(std::move(target)), patience_(std::move(patience)) {}

    const char *Name() const override { return "PatientFileSystem"; }

    IOStatus NewWritableFile(
        const std::string &path, const FileOptions &, std::unique_ptr<rocksdb::FSWritableFile> *result,
        IODebugContext *) override {
        int file = -1;
        change([&]() -> int {
            file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
            return file >= 0 ? 0 : errno;
        });
        *result = std::make_unique<PatientWritableFile>(patience_, file);
        return IOStatus::OK();
    }
    // Without a log nothing opens a file again to write to it.
    IOStatus ReopenWritableFile(
        const std::string &, const FileOptions &, std::unique_ptr<rocksdb::FSWritableFile> *,
        IODebugContext *) override {
        return IOStatus::NotSupported();
    }
    IOStatus ReuseWritableFile(
        const std::string &, const std::string &, const FileOptions &, std::unique_ptr<rocksdb::FSWritableFile> *,
        IODebugContext *) override {
        return IOStatus::NotSupported();
    }
    IOStatus NewRandomRWFile(
        const std::string &, const FileOptions &, std::unique_ptr<rocksdb::FSRandomRWFile> *,
        IODebugContext *) override {
        return IOStatus::NotSupported();
    }
    IOStatus NewDirectory(
        const std::string &path, const IOOptions &options, std::unique_ptr<rocksdb::FSDirectory> *result,
        IODebugContext *context) override {
        std::unique_ptr<rocksdb::FSDirectory> target;
        const IOStatus status = FileSystemWrapper::NewDirectory(path, options, &target, context);
        if (status.ok()) *result = std::make_unique<PatientDirectory>(patience_, std::move(target));
        return status;
    }
    IOStatus CreateDir(const std::string &path, const IOOptions &options, IODebugContext *context) override {
        change([&]() -> int { return errnoOf(FileSystemWrapper::CreateDir(path, options, context)); });
        return IOStatus::OK();
    }
    IOStatus CreateDirIfMissing(
        const std::string &path, const IOOptions &options, IODebugContext *context) override {
        change([&]() -> int { return errnoOf(FileSystemWrapper::CreateDirIfMissing(path, options, context)); });
        return IOStatus::OK();
    }
    IOStatus RenameFile(
        const std::string &from, const std::string &to, const IOOptions &options, IODebugContext *context) override {
        change([&]() -> int { return errnoOf(FileSystemWrapper::RenameFile(from, to, options, context)); });
        return IOStatus::OK();
    }
    IOStatus DeleteFile(const std::string &path, const IOOptions &options, IODebugContext *context) override {
        if (patience_->isDead()) return IOStatus::OK();
        return FileSystemWrapper::DeleteFile(path, options, context);
    }
    IOStatus DeleteDir(const std::string &path, const IOOptions &options, IODebugContext *context) override {
        if (patience_->isDead()) return IOStatus::OK();
        return FileSystemWrapper::DeleteDir(path, options, context);
    }
    IOStatus NewLogger(
        const std::string &, const IOOptions &, std::shared_ptr<rocksdb::Logger> *result, IODebugContext *) override {
        *result = std::make_shared<SilentLogger>();
        return IOStatus::OK();
    }

private:
    void change(const std::function<int()> &body) { patience_->run(true, body); }

    const std::shared_ptr<Patience> patience_;
};

}  // namespace

std::shared_ptr<rocksdb::FileSystem> makePatientFileSystem(std::shared_ptr<Patience> patience) {
    return std::make_shared<PatientFileSystem>(rocksdb::FileSystem::Default(), std::move(patience));
}
