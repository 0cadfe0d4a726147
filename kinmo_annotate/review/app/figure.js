// A motion in 3D that plays in the browser. The joints are fetched once; after that no frame makes any traffic.
// Frames of reference as in the data: metres, y up; a body that faces +z has its own left at +x.
import { THREE, OrbitControls } from "nicegui-scene";

const SPEEDS = [0.25, 0.5, 0.75, 1, 1.25, 1.5, 2];
const BODY = "#b8b2a6";
const MARKS = ["#0f766e", "#c2571a"]; // as in page.css
const PAPER = "#f4f1ea";
const JOINTS = 22;
// Thickness of the limb that ends at each joint, metres.
const RADII = [
  0.075, 0.07, 0.07, 0.085, 0.06, 0.06, 0.09, 0.045, 0.045, 0.09, 0.035, 0.035, 0.045, 0.05, 0.05, 0.045, 0.045,
  0.045, 0.04, 0.04, 0.032, 0.032,
];
const [ANKLES, FEET, NECK, HEAD, SHOULDERS, WRISTS] = [[7, 8], [10, 11], 12, 15, [16, 17], [20, 21]];
const SIDES = ["front", "left", "back", "right", "top"];
const UP = new THREE.Vector3(0, 1, 0);

function mesh(geometry, color) {
  return new THREE.Mesh(geometry, new THREE.MeshStandardMaterial({ color, roughness: 0.75, metalness: 0 }));
}

function flat(geometry, color, opacity) {
  geometry.rotateX(-Math.PI / 2);
  const material = new THREE.MeshBasicMaterial({ color, transparent: true, opacity, depthWrite: false });
  return new THREE.Mesh(geometry, material);
}

// A grid of half metres, in pieces of one metre: software renderers drop long lines that pass the camera.
function ground(reach = 20) {
  const points = [];
  for (let at = -reach; at <= reach; at += 0.5) {
    for (let from = -reach; from < reach; from++) {
      points.push(at, 0, from, at, 0, from + 1, from, 0, at, from + 1, 0, at);
    }
  }
  const geometry = new THREE.BufferGeometry();
  geometry.setAttribute("position", new THREE.Float32BufferAttribute(points, 3));
  return new THREE.LineSegments(geometry, new THREE.LineBasicMaterial({ color: "#d9d1c1" }));
}

// The path of the root, as a strip on the ground: lines are one pixel thin whatever they ask for.
const WIDTH = 0.009; // half of it, metres
function ribbon(color) {
  const material = new THREE.MeshBasicMaterial({ color, side: THREE.DoubleSide });
  const made = new THREE.Mesh(new THREE.BufferGeometry(), material);
  made.frustumCulled = false;
  return made;
}

function letter(text) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 64;
  const pen = canvas.getContext("2d");
  pen.font = "600 44px system-ui, sans-serif";
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.lineWidth = 10;
  pen.strokeStyle = PAPER;
  pen.strokeText(text, 32, 34);
  pen.fillStyle = "#3c4148";
  pen.fillText(text, 32, 34);
  const map = new THREE.CanvasTexture(canvas);
  const sprite = new THREE.Sprite(new THREE.SpriteMaterial({ map, depthTest: false, transparent: true }));
  sprite.scale.setScalar(0.16);
  sprite.renderOrder = 2;
  return sprite;
}

// The body as meshes; pose(xyz) moves them to 22 positions.
class Body {
  constructor(scene, parents) {
    this.parents = parents;
    this.group = new THREE.Group();
    scene.add(this.group);
    this.limbs = parents.map((parent, joint) =>
      parent < 0 ? null : this.add(new THREE.CylinderGeometry(RADII[joint] * 0.88, RADII[joint], 1, 14)),
    );
    this.balls = RADII.map((radius) => this.add(new THREE.SphereGeometry(radius, 18, 12)));
    this.skull = this.add(new THREE.SphereGeometry(0.105, 22, 16));
    this.nose = this.add(new THREE.ConeGeometry(0.03, 0.08, 12));
    this.hands = WRISTS.map(() => this.add(new THREE.SphereGeometry(0.048, 16, 12)));
    this.shadows = [...FEET, 0].map((joint) =>
      scene.add(flat(new THREE.CircleGeometry(joint ? 0.14 : 0.26, 24), "#4a4335", 0.2)).children.at(-1),
    );
    this.letters = [...WRISTS, ...ANKLES].map((_, index) => letter("LR"[index % 2]));
    this.letters.forEach((sprite) => scene.add(sprite));
    this.at = Array.from({ length: JOINTS }, () => new THREE.Vector3());
  }
  add(geometry) {
    const made = mesh(geometry, BODY);
    this.group.add(made);
    return made;
  }
  mark(groups) {
    const color = (joint) => MARKS[groups.findIndex((group) => group.includes(joint))] ?? BODY;
    this.balls.forEach((ball, joint) => ball.material.color.set(color(joint)));
    this.limbs.forEach((limb, joint) => limb?.material.color.set(color(joint)));
    this.hands.forEach((hand, side) => hand.material.color.set(color(WRISTS[side])));
    [this.skull, this.nose].forEach((part) => part.material.color.set(color(HEAD)));
  }
  pose(xyz) {
    const at = this.at;
    for (let joint = 0; joint < JOINTS; joint++) {
      at[joint].fromArray(xyz, joint * 3);
      this.balls[joint].position.copy(at[joint]);
    }
    this.limbs.forEach((limb, joint) => limb && this.lay(limb, at[this.parents[joint]], at[joint]));
    this.poseHead();
    WRISTS.forEach((wrist, side) => {
      const along = at[wrist].clone().sub(at[wrist - 2]).normalize();
      this.hands[side].position.copy(at[wrist]).addScaledVector(along, 0.07);
    });
    [...FEET, 0].forEach((joint, index) => {
      const shadow = this.shadows[index];
      shadow.position.set(at[joint].x, 0.004, at[joint].z);
      shadow.material.opacity = 0.26 / (1 + 5 * Math.max(0, at[joint].y - (joint ? 0 : 0.9)));
    });
    [...WRISTS, ...ANKLES].forEach((joint, index) => {
      const out = at[joint].clone().sub(at[0]).setY(0).normalize();
      this.letters[index].position.copy(at[joint]).addScaledVector(out, 0.16);
    });
  }
  lay(limb, from, to) {
    const along = to.clone().sub(from);
    const length = Math.max(along.length(), 1e-6);
    limb.position.copy(from).addScaledVector(along, 0.5);
    limb.quaternion.setFromUnitVectors(UP, along.divideScalar(length));
    limb.scale.set(1, length, 1);
  }
  poseHead() {
    const up = this.at[HEAD].clone().sub(this.at[NECK]).normalize();
    const left = this.at[SHOULDERS[0]].clone().sub(this.at[SHOULDERS[1]]);
    const ahead = left.cross(up).normalize();
    this.skull.position.copy(this.at[HEAD]).addScaledVector(up, 0.06);
    this.nose.position.copy(this.skull.position).addScaledVector(ahead, 0.12);
    this.nose.quaternion.setFromUnitVectors(UP, ahead);
  }
}

export default {
  template: `
    <div class="figure" role="group" aria-label="The motion in 3D">
      <div class="stage" ref="stage"><canvas ref="canvas"></canvas>
        <div class="stage-word" v-if="word">{{ word }}</div>
        <div class="stage-tip">drag to turn, scroll to zoom</div></div>
      <div class="timeline">
        <div class="ticks" aria-hidden="true">
          <i v-for="key in motion.keyframes" :style="{ left: share(key) }"></i></div>
        <input type="range" min="0" :max="motion.frames - 1" step="1" :value="shown" @input="scrub" tabindex="-1"
          aria-label="Frame"></div>
      <div class="controls">
        <button type="button" @click="act('play')" :aria-label="playing ? 'Pause' : 'Play'" class="play">
          <svg viewBox="0 0 20 20" aria-hidden="true"><path :d="playing ? pausePath : playPath" /></svg></button>
        <button type="button" v-for="step in steps" @click="act(step.command)" :title="step.title">
          <svg viewBox="0 0 20 20" aria-hidden="true"><path :d="step.path" /></svg></button>
        <span class="time">{{ seconds(shown) }} <small>of {{ seconds(motion.frames - 1) }} s</small></span>
        <span class="frame">frame {{ shown }}<small> / {{ motion.frames - 1 }}</small></span>
        <span class="grow"></span>
        <button type="button" @click="act('slower')" title="slower (<)">−</button>
        <span class="speed">{{ speed }}×</span>
        <button type="button" @click="act('faster')" title="faster (>)">+</button>
        <button type="button" class="view" @click="act('view')" title="next view (v)">{{ side }}</button>
      </div>
    </div>`,
  props: { motion: Object, marked: Array, parents: Array },
  data() {
    return {
      shown: 0,
      playing: true,
      speed: 1,
      side: "front",
      word: "",
      playPath: "M5 3 L17 10 L5 17 Z",
      pausePath: "M5 3 h3.5 v14 h-3.5 Z M11.5 3 h3.5 v14 h-3.5 Z",
      steps: [
        { command: "keyframe_back", title: "keyframe before (Shift+←)", path: "M4 5 h2 v10 h-2 Z M15 5 v10 L7 10 Z" },
        { command: "step_back", title: "one frame back (←)", path: "M13 5 v10 L6 10 Z" },
        { command: "step_on", title: "one frame on (→)", path: "M7 5 v10 L14 10 Z" },
        { command: "keyframe_on", title: "next keyframe (Shift+→)", path: "M5 5 v10 L13 10 Z M14 5 h2 v10 h-2 Z" },
      ],
    };
  },
  created() {
    this.frame = 0; // with a fraction while it plays
    this.joints = null;
    this.kept = new Map(); // address -> joints, of the motions seen last
    this.follows = true;
    this.dirty = true;
  },
  mounted() {
    window.addEventListener("kinmo-figure", this.heard);
    if (this.setUp()) {
      this.watcher = new ResizeObserver(this.resize);
      this.watcher.observe(this.$refs.stage);
      this.fetchMotion();
      this.last = performance.now();
      this.handle = requestAnimationFrame(this.tick);
    }
  },
  unmounted() {
    window.removeEventListener("kinmo-figure", this.heard);
    cancelAnimationFrame(this.handle);
    this.watcher?.disconnect();
    this.renderer?.dispose();
  },
  watch: {
    "motion.address"() {
      this.fetchMotion();
    },
    marked(now, before) {
      if (JSON.stringify(now) !== JSON.stringify(before)) this.colour();
    },
  },
  methods: {
    setUp() {
      try {
        this.renderer = new THREE.WebGLRenderer({ canvas: this.$refs.canvas, antialias: true });
      } catch {
        this.word = "This browser shows no 3D. Films show motions too: `kinmo annotate sheet export`, `kinmo dataset show`.";
        return false;
      }
      this.renderer.setPixelRatio(Math.min(window.devicePixelRatio, 2));
      this.renderer.setClearColor(PAPER);
      this.scene = new THREE.Scene();
      this.scene.fog = new THREE.Fog(PAPER, 9, 22);
      this.scene.add(new THREE.HemisphereLight("#ffffff", "#cfc6b4", 2.1));
      const sun = new THREE.DirectionalLight("#ffffff", 1.7);
      sun.position.set(2, 6, 4);
      this.scene.add(sun);
      this.scene.add(ground());
      this.path = ribbon("#a8a08c");
      this.walked = ribbon("#22262b");
      this.path.position.y = 0.008;
      this.walked.position.y = 0.012;
      this.spot = flat(new THREE.RingGeometry(0.045, 0.065, 28), "#22262b", 0.9);
      this.scene.add(this.path, this.walked, this.spot);
      this.body = new Body(this.scene, this.parents);
      this.camera = new THREE.PerspectiveCamera(38, 1, 0.05, 60);
      this.controls = new OrbitControls(this.camera, this.renderer.domElement);
      this.controls.enablePan = false;
      this.controls.minDistance = 1;
      this.controls.maxDistance = 12;
      this.controls.maxPolarAngle = Math.PI / 2 - 0.02;
      this.controls.addEventListener("change", () => (this.dirty = true));
      this.colour();
      return true;
    },
    async jointsOf(address) {
      if (!this.kept.has(address)) {
        const promise = fetch(address).then(async (answer) => {
          if (!answer.ok) throw new Error(String(answer.status));
          return new Float32Array(await answer.arrayBuffer());
        });
        this.kept.set(address, promise);
        promise.catch(() => this.kept.delete(address));
        if (this.kept.size > 6) this.kept.delete(this.kept.keys().next().value);
      }
      return this.kept.get(address);
    },
    async fetchMotion() {
      const { address, ahead } = this.motion;
      this.$el.dataset.ready = "";
      let joints;
      try {
        joints = await this.jointsOf(address);
      } catch {
        this.word = "The motion could not be fetched. Reload the page.";
        return;
      }
      if (address !== this.motion.address) return; // another one is wanted by now
      this.word = "";
      this.joints = joints;
      this.frame = 0;
      this.playing = true;
      this.layPath();
      this.root = null;
      this.look("front");
      Object.assign(this.$el.dataset, { ready: address, playing: this.playing, speed: this.speed });
      if (ahead) this.jointsOf(ahead).catch(() => {});
    },
    layPath() {
      const root = (frame) => [this.joints[frame * JOINTS * 3], this.joints[frame * JOINTS * 3 + 2]];
      const corners = [];
      for (let frame = 0; frame < this.motion.frames - 1; frame++) {
        const [[x, z], [toX, toZ]] = [root(frame), root(frame + 1)];
        const length = Math.hypot(toX - x, toZ - z) || 1;
        const [sideX, sideZ] = [(-WIDTH * (toZ - z)) / length, (WIDTH * (toX - x)) / length];
        const at = [[x + sideX, z + sideZ], [x - sideX, z - sideZ], [toX + sideX, toZ + sideZ], [toX - sideX, toZ - sideZ]];
        for (const corner of [0, 1, 2, 2, 1, 3]) corners.push(at[corner][0], 0, at[corner][1]);
      }
      const positions = new THREE.Float32BufferAttribute(corners, 3);
      for (const path of [this.path, this.walked]) {
        path.geometry.dispose();
        path.geometry = new THREE.BufferGeometry().setAttribute("position", positions);
      }
    },
    colour() {
      this.body?.mark(this.marked ?? []);
      this.dirty = true;
    },
    tick(now) {
      this.handle = requestAnimationFrame(this.tick);
      const passed = Math.min((now - this.last) / 1000, 0.2);
      this.last = now;
      if (!this.joints) return;
      if (this.playing) {
        const frames = this.motion.frames;
        this.frame += passed * this.motion.fps * this.speed;
        if (this.frame > frames - 1) this.frame = this.frame > frames - 1 + this.motion.fps / 2 ? 0 : this.frame;
        this.dirty = true;
      }
      if (this.dirty) this.draw();
    },
    draw() {
      this.dirty = false;
      const frame = Math.min(this.frame, this.motion.frames - 1); // it rests half a second at its end
      const xyz = this.at(frame);
      this.body.pose(xyz);
      const root = new THREE.Vector3(xyz[0], 0, xyz[2]);
      this.spot.position.set(root.x, 0.014, root.z);
      this.walked.geometry.setDrawRange(0, Math.floor(frame) * 6);
      if (this.follows && this.root) {
        const moved = root.clone().sub(this.root);
        this.camera.position.add(moved);
        this.controls.target.add(moved);
        this.controls.update();
        this.dirty = false;
      }
      this.root = root;
      this.renderer.render(this.scene, this.camera);
      this.shown = Math.round(frame);
      this.$el.dataset.frame = this.shown;
    },
    // Positions between two frames lie on the line between them.
    at(frame) {
      const width = JOINTS * 3;
      const first = Math.floor(frame);
      const rest = frame - first;
      const a = this.joints.subarray(first * width, (first + 1) * width);
      if (!rest) return a;
      const b = this.joints.subarray((first + 1) * width, (first + 2) * width);
      return a.map((value, index) => value + (b[index] - value) * rest);
    },
    look(side) {
      this.side = side;
      const turn = { front: 0.35, left: Math.PI / 2, back: Math.PI + 0.35, right: -Math.PI / 2, top: 0 }[side];
      const tilt = side === "top" ? 0.02 : 1.27;
      const xyz = this.at(Math.min(this.frame, this.motion.frames - 1));
      this.controls.target.set(xyz[0], 0.88, xyz[2]);
      const arm = new THREE.Vector3().setFromSphericalCoords(this.far(), tilt, turn);
      this.camera.position.copy(this.controls.target).add(arm);
      this.controls.update();
      this.dirty = true;
    },
    far() {
      return this.camera.aspect < 1 ? 3.6 / this.camera.aspect : 3.6;
    },
    turn(around, over, zoom = 1) {
      const arm = this.camera.position.clone().sub(this.controls.target);
      const ball = new THREE.Spherical().setFromVector3(arm);
      ball.theta += around;
      ball.phi = Math.min(Math.max(ball.phi + over, 0.02), Math.PI / 2 - 0.02);
      ball.radius = Math.min(Math.max(ball.radius * zoom, 1), 12);
      this.camera.position.copy(this.controls.target).add(arm.setFromSpherical(ball));
      this.controls.update();
      this.dirty = true;
    },
    resize() {
      const { clientWidth, clientHeight } = this.$refs.stage;
      if (!clientWidth || !clientHeight) return;
      this.renderer.setSize(clientWidth, clientHeight, false);
      this.camera.aspect = clientWidth / clientHeight;
      this.camera.updateProjectionMatrix();
      this.dirty = true;
    },
    heard(event) {
      this.act(event.detail);
    },
    act(command) {
      const frames = this.motion.frames;
      const here = Math.round(Math.min(this.frame, frames - 1));
      const keys = this.motion.keyframes;
      const commands = {
        play: () => this.toggle(),
        step_on: () => this.go(here + 1),
        step_back: () => this.go(here - 1),
        keyframe_on: () => this.go(keys.find((key) => key > here) ?? frames - 1),
        keyframe_back: () => this.go(keys.findLast((key) => key < here) ?? 0),
        start: () => this.go(0),
        end: () => this.go(frames - 1),
        slower: () => this.pace(-1),
        faster: () => this.pace(1),
        turn_left: () => this.turn(-0.2, 0),
        turn_right: () => this.turn(0.2, 0),
        tilt_up: () => this.turn(0, -0.15),
        tilt_down: () => this.turn(0, 0.15),
        nearer: () => this.turn(0, 0, 0.87),
        farther: () => this.turn(0, 0, 1.15),
        view: () => this.look(SIDES[(SIDES.indexOf(this.side) + 1) % SIDES.length]),
        follow: () => (this.follows = !this.follows),
        letters: () => this.body.letters.forEach((sprite) => (sprite.visible = !sprite.visible)),
      };
      if (!this.joints) return;
      commands[command]?.();
      this.dirty = true;
      Object.assign(this.$el.dataset, { playing: this.playing, speed: this.speed, side: this.side });
    },
    toggle() {
      this.playing = !this.playing;
      if (this.playing && this.frame >= this.motion.frames - 1) this.frame = 0;
    },
    go(frame) {
      this.playing = false;
      this.frame = Math.min(Math.max(frame, 0), this.motion.frames - 1);
    },
    pace(by) {
      const index = SPEEDS.indexOf(this.speed) + by;
      this.speed = SPEEDS[Math.min(Math.max(index, 0), SPEEDS.length - 1)];
    },
    scrub(event) {
      this.go(Number(event.target.value));
      this.dirty = true;
    },
    share(frame) {
      return `${(100 * frame) / Math.max(1, this.motion.frames - 1)}%`;
    },
    seconds(frame) {
      return (frame / this.motion.fps).toFixed(2);
    },
  },
};
