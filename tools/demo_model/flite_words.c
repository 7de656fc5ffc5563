/* Speech and the time of every word from flite: gcc -O2 -shared -fPIC flite_words.c -o work/libflitewords.so
   -lflite_cmu_us_kal16 -lflite_cmu_us_awb -lflite_cmu_us_rms -lflite_cmu_us_slt -lflite_usenglish -lflite_cmulex -lflite -lm */
#include <flite/flite.h>
#include <stdio.h>
#include <string.h>

cst_voice *register_cmu_us_kal16(const char *);
cst_voice *register_cmu_us_awb(const char *);
cst_voice *register_cmu_us_rms(const char *);
cst_voice *register_cmu_us_slt(const char *);
static cst_voice *voices[4];
static float pitch[4];

void start(void) {
    flite_init();
    voices[0] = register_cmu_us_kal16(NULL);
    voices[1] = register_cmu_us_awb(NULL);
    voices[2] = register_cmu_us_rms(NULL);
    voices[3] = register_cmu_us_slt(NULL);
    for (int i = 0; i < 4; i++) pitch[i] = get_param_float(voices[i]->features, "int_f0_target_mean", 100.0);
}

/* Fills `out` with at most `most` samples and `times` with lines "word start end"; returns the number of samples. */
int speak(int voice, const char *text, float stretch, float pitch_scale, short *out, int most, int *rate, char *times, int size) {
    cst_voice *v = voices[voice];
    flite_feat_set_float(v->features, "duration_stretch", stretch);
    flite_feat_set_float(v->features, "int_f0_target_mean", pitch[voice] * pitch_scale);
    flite_feat_set_float(v->features, "f0_shift", pitch_scale);
    cst_utterance *utterance = flite_synth_text(text, v);
    cst_wave *wave = utt_wave(utterance);
    int count = wave->num_samples < most ? wave->num_samples : most;
    memcpy(out, wave->samples, count * sizeof(short));
    *rate = wave->sample_rate;
    char *p = times;
    *p = 0;
    for (cst_item *word = relation_head(utt_relation(utterance, "Word")); word; word = item_next(word)) {
        float begin = ffeature_float(word, "R:SylStructure.daughter1.daughter1.R:Segment.p.end");
        float end = ffeature_float(word, "R:SylStructure.daughtern.daughtern.R:Segment.end");
        p += snprintf(p, size - (p - times), "%s %.3f %.3f\n", item_feat_string(word, "name"), begin, end);
    }
    delete_utterance(utterance);
    return count;
}
