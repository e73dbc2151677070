use super::*;

/// The leaves and roots of the reference implementation of RFC 6962
/// (certificate-transparency, `merkletree/merkle_tree_test`).
const LEAVES: [&str; 8] = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
];
const ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

#[test]
fn roots_are_those_of_the_reference() {
    let mut tree = TreeHasher::new();
    for (leaf, root) in LEAVES.iter().zip(ROOTS) {
        tree.push(&hex::decode(leaf).unwrap());
        assert_eq!(hex::encode(tree.root()), root, "{} leaves", tree.leaves());
    }
}

#[test]
fn no_leaves_hash_as_nothing() {
    assert_eq!(
        hex::encode(TreeHasher::new().root()),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
}

/// The definition of RFC 6962, word by word.
fn by_definition(leaves: &[Vec<u8>]) -> Hash {
    match leaves {
        [] => Sha256::digest([]).into(),
        [leaf] => leaf_hash(leaf),
        _ => {
            let split = leaves.len().next_power_of_two() / 2;
            let (left, right) = leaves.split_at(split);
            node_hash(&by_definition(left), &by_definition(right))
        }
    }
}

#[test]
fn roots_are_those_of_the_definition() {
    let mut tree = TreeHasher::new();
    let mut leaves = Vec::new();
    for number in 0..300_u32 {
        assert_eq!(tree.root(), by_definition(&leaves), "{number} leaves");
        let leaf = number.to_be_bytes().to_vec();
        tree.push(&leaf);
        leaves.push(leaf);
    }
}
