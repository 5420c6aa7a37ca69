//! Merging a request without a working tree.

use windlass_core::snapshot::{Entry, MAX_FILES};

use super::GitError;
use super::merge::Merged;
use super::tests::World;

const REQUEST: &str = "refs/pull/12/head";

impl World {
    /// A request with these files, from the commit that `main` points at now.
    fn request(&self, write: impl FnOnce(&Self)) -> String {
        self.git(&["checkout", "--quiet", "-B", "request", "main"]);
        write(self);
        let head = self.commit("Change");
        self.git(&["update-ref", REQUEST, &head]);
        self.git(&["checkout", "--quiet", "main"]);
        head
    }

    fn merged(&self) -> Merged {
        let (base, head) = self.mirror.fetch_request(REQUEST).unwrap();
        self.mirror.merge(&base, &head).unwrap()
    }
}

fn begun() -> World {
    let world = World::new();
    world.write("cluster.yaml", "name: example\n");
    world.write("sites/blog.yaml", "a: 1\nb: 2\nc: 3\nd: 4\ne: 5\n");
    world.commit("Begin");
    world
}

#[test]
fn both_sides_changes_are_in_the_result() {
    let world = begun();
    let head = world.request(|world| {
        world.write("sites/blog.yaml", "a: 1\nb: 2\nc: 3\nd: 4\ne: 6\n");
        world.write("sites/new.yaml", "x: 1\n");
    });
    world.write("sites/blog.yaml", "a: 0\nb: 2\nc: 3\nd: 4\ne: 5\n");
    world.commit("Meanwhile");
    let Merged::Clean { tree, snapshot } = world.merged() else {
        panic!("conflicts");
    };
    let blog = snapshot.file("sites/blog.yaml").unwrap();
    assert_eq!(blog, b"a: 0\nb: 2\nc: 3\nd: 4\ne: 6\n");
    assert_eq!(snapshot.entries.len(), 3);
    assert_eq!(
        (snapshot.commit, snapshot.subject.as_str()),
        (head.clone(), "Change")
    );
    // Git itself comes to the same tree.
    world.git(&["merge", "--quiet", "--no-edit", &head]);
    assert_eq!(world.git(&["rev-parse", "HEAD^{tree}"]), tree);
}

#[test]
fn conflicts_are_named_and_nothing_is_given() {
    let world = begun();
    world.request(|world| {
        world.write("sites/blog.yaml", "mine\n");
        std::fs::remove_file(world.origin().join("cluster.yaml")).unwrap();
    });
    world.write("sites/blog.yaml", "theirs\n");
    world.write("cluster.yaml", "name: other\n");
    world.commit("Meanwhile");
    let files = ["cluster.yaml", "sites/blog.yaml"]
        .map(str::to_owned)
        .to_vec();
    assert_eq!(world.merged(), Merged::Conflicted { files });
}

#[test]
fn links_out_of_the_tree_stay_links_and_trees_too_large_are_told() {
    let world = begun();
    world.request(|world| {
        let link = world.origin().join("sites/shadow.yaml");
        std::os::unix::fs::symlink("/etc/shadow", link).unwrap();
    });
    let Merged::Clean { snapshot, .. } = world.merged() else {
        panic!("conflicts");
    };
    assert_eq!(snapshot.entries["sites/shadow.yaml"], Entry::Symlink);
    world.request(|world| {
        for n in 0..=MAX_FILES {
            world.write(&format!("f/{n}"), "");
        }
    });
    let Merged::Clean { snapshot, .. } = world.merged() else {
        panic!("conflicts");
    };
    assert!(snapshot.over_limit.is_some());
}

#[test]
fn unrelated_histories_and_what_was_merged_before_are_no_trouble() {
    let world = begun();
    world.git(&["checkout", "--quiet", "--orphan", "alone"]);
    world.write("other.yaml", "x: 1\n");
    let alone = world.commit("Alone");
    world.git(&["update-ref", REQUEST, &alone]);
    world.git(&["checkout", "--quiet", "main"]);
    assert!(matches!(world.merged(), Merged::Clean { .. }));
    world.git(&["update-ref", REQUEST, "main"]);
    let Merged::Clean { tree, .. } = world.merged() else {
        panic!("conflicts");
    };
    assert_eq!(tree, world.git(&["rev-parse", "main^{tree}"]));
}

#[test]
fn what_is_too_much_is_told_as_that_and_leaves_the_mirror_whole() {
    let world = begun();
    let many: String = (0..20_000_u64).map(|n| (n * n).to_string()).collect();
    world.write("sites/blog.yaml", &many);
    let commit = world.commit("Much");
    let repository = world.mirror.open().unwrap();
    let error = world.mirror.receive(&repository, None, 100).unwrap_err();
    assert!(
        matches!(error, GitError::TooMuch { most: 100, .. }),
        "{error}"
    );
    // What is much is the branch's, and the request brings little.
    let head = world.request(|world| world.write("sites/blog.yaml", "a: 1\n"));
    let fetched = world.mirror.fetch_request_once(REQUEST, 10_000);
    assert_eq!(fetched.unwrap(), (commit, head));
}

#[test]
fn a_reference_that_is_not_there_or_is_none_is_said() {
    let world = begun();
    for name in [
        "refs/pull/99/head",
        "main",
        "refs/../x",
        "+refs/heads/main:refs/heads/x",
        "",
    ] {
        let error = world.mirror.fetch_request(name).unwrap_err();
        assert!(
            matches!(error, GitError::NoCommit { .. }),
            "{name}: {error}"
        );
    }
}
