"""The classes of the paper's tasks, in the order of the outputs, spelt as in their data sets."""

CLASSES = {
    # by their target numbers
    "esc50": (
        *("dog", "rooster", "pig", "cow", "frog", "cat", "hen", "insects", "sheep", "crow"),
        *("rain", "sea_waves", "crackling_fire", "crickets", "chirping_birds", "water_drops"),
        *("wind", "pouring_water", "toilet_flush", "thunderstorm", "crying_baby", "sneezing"),
        *("clapping", "breathing", "coughing", "footsteps", "laughing", "brushing_teeth"),
        *("snoring", "drinking_sipping", "door_wood_knock", "mouse_click", "keyboard_typing"),
        *("door_wood_creaks", "can_opening", "washing_machine", "vacuum_cleaner", "clock_alarm"),
        *("clock_tick", "glass_breaking", "helicopter", "chainsaw", "siren", "car_horn"),
        *("engine", "train", "church_bells", "airplane", "fireworks", "hand_saw"),
    ),
    "dcase2019_task1": (
        *("airport", "shopping_mall", "metro_station", "street_pedestrian", "public_square"),
        *("street_traffic", "tram", "bus", "metro", "park"),
    ),
    "dcase2018_task2": (
        *("Acoustic_guitar", "Applause", "Bark", "Bass_drum", "Burping_or_eructation", "Bus"),
        *("Cello", "Chime", "Clarinet", "Computer_keyboard", "Cough", "Cowbell", "Double_bass"),
        *("Drawer_open_or_close", "Electric_piano", "Fart", "Finger_snapping", "Fireworks"),
        *("Flute", "Glockenspiel", "Gong", "Gunshot_or_gunfire", "Harmonica", "Hi-hat"),
        *("Keys_jangling", "Knock", "Laughter", "Meow", "Microwave_oven", "Oboe", "Saxophone"),
        *("Scissors", "Shatter", "Snare_drum", "Squeak", "Tambourine", "Tearing", "Telephone"),
        *("Trumpet", "Violin_or_fiddle", "Writing"),
    ),
    "msos": ("Effects", "Human", "Music", "Nature", "Urban"),
    "gtzan": (
        *("blues", "classical", "country", "disco", "hiphop"),
        *("jazz", "metal", "pop", "reggae", "rock"),
    ),
    # by their numbers in the file names, from 01
    "ravdess": (*("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised"),),
}

ESC10 = (
    *("dog", "rooster", "rain", "sea_waves", "crackling_fire", "crying_baby", "sneezing"),
    *("clock_tick", "helicopter", "chainsaw"),
)
